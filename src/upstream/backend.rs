//! One address of an upstream, with its load, its health and its idle connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{info, warn};

use super::address::Address;
use super::balance::{Share, seed};
use super::condition::Condition;
use super::limit::Limit;
use super::pool::Pool;
use crate::tasks::Tasks;

/// One address that requests can go to. Clones are the same backend.
#[derive(Clone, Debug)]
pub struct Backend {
    address: Address,
    lanes: Box<[Arc<Lane>]>,
    condition: Arc<Condition>,
    weight: u16,
    limit: Option<Limit>,
    seed: u64,
}

/// What the requests of one runtime know of a backend. Each runtime has one of its own, on cache lines of its own: no
/// request writes to what another core reads.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lane {
    address: Address,
    in_flight: AtomicUsize,
    pool: Pool,
}

impl Lane {
    /// One without a request.
    pub(super) fn new(address: &Address, pool: Pool) -> Arc<Self> {
        Arc::new(Self {
            address: address.clone(),
            in_flight: AtomicUsize::new(0),
            pool,
        })
    }

    /// Where the backend listens.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// How many requests and tunnels of this runtime the backend is serving.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Backend {
    /// A backend with one of `pools` for each runtime.
    pub(super) fn new(
        address: Address,
        pools: impl IntoIterator<Item = Pool>,
        condition: Arc<Condition>,
    ) -> Self {
        let lane = |pool| Lane::new(&address, pool);
        Self {
            lanes: pools.into_iter().map(lane).collect(),
            condition,
            weight: 1,
            limit: None,
            seed: seed(&address.to_string()),
            address,
        }
    }

    /// The same backend in another upstream or under other rules: the same requests and connections.
    pub(super) fn again(&self, condition: Arc<Condition>) -> Self {
        Self {
            address: self.address.clone(),
            lanes: self.lanes.clone(),
            condition,
            weight: 1,
            limit: self.limit.clone(),
            seed: self.seed,
        }
    }

    /// The same with its share of the requests and its limit. A limit that stays keeps count, and a new one counts what is
    /// under way, for which a runtime must be entered.
    pub(super) fn sharing(self, share: Share, max_connections: Option<u16>, tasks: &Tasks) -> Self {
        let count = share.max_connections.or(max_connections);
        let kept = self.limit.filter(|limit| Some(limit.count()) == count);
        let lanes = &self.lanes;
        let new = |count| {
            let lanes = lanes.clone();
            Limit::counting(count, move || in_flight(&lanes), tasks)
        };
        Self {
            weight: share.weight,
            limit: kept.or_else(|| count.map(new)),
            ..self
        }
    }

    /// Where the backend listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many requests and tunnels it is serving.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        in_flight(&self.lanes)
    }

    /// Whether its active check fails.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.condition.is_down()
    }

    /// Whether requests keep away from it for a while, because too many have failed.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.condition.is_ejected(Instant::now())
    }

    /// What the runtime of this number knows of it.
    pub(super) fn lane(&self, worker: usize) -> &Arc<Lane> {
        &self.lanes[worker % self.lanes.len()]
    }

    pub(super) fn condition(&self) -> &Arc<Condition> {
        &self.condition
    }

    /// Takes note that a request failed here.
    pub(super) fn fail(&self) {
        if let Some(length) = self.condition.fail(Instant::now()) {
            warn!(backend = %self.address, retry_in = ?length, "backend gets no requests for a while");
        }
    }

    /// Takes note that a request was served, where that tells anything new.
    pub(super) fn succeed(&self) {
        if !self.condition.is_plain() && self.condition.succeed(Instant::now()) {
            info!(backend = %self.address, "backend gets requests again");
        }
    }

    pub(super) fn weight(&self) -> u16 {
        self.weight
    }

    /// What stands for it where clients are spread by hash.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn has_no_limit(&self) -> bool {
        self.limit.is_none()
    }

    /// Whether it may have one more request.
    pub(super) fn has_room(&self) -> bool {
        let limit = self.limit.as_ref();
        limit.is_none_or(Limit::has_room)
    }

    /// The places that requests take, where there is a limit.
    pub(super) fn places(&self) -> Option<&Arc<Semaphore>> {
        self.limit.as_ref().map(Limit::places)
    }

    /// Counts a request that goes here, unless the backend serves as many as it may.
    pub(super) fn enter(&self, worker: usize) -> Option<InFlight> {
        let place = match &self.limit {
            None => None,
            Some(limit) => {
                limit.places().try_acquire().ok()?.forget();
                Some(Place(Arc::clone(limit.places())))
            }
        };
        Some(InFlight::enter(self.lane(worker), place))
    }
}

fn in_flight(lanes: &[Arc<Lane>]) -> usize {
    lanes.iter().map(|lane| lane.in_flight()).sum()
}

/// One of the requests that a limit allows, until it is dropped. Smaller than a permit, since each request has room for it.
#[derive(Debug)]
pub(super) struct Place(Arc<Semaphore>);

impl From<OwnedSemaphorePermit> for Place {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        let places = Arc::clone(permit.semaphore());
        permit.forget();
        Self(places)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// Counts one request or tunnel of a backend until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    lane: Arc<Lane>,
    _place: Option<Place>,
}

impl InFlight {
    /// With a place among those that the backend's limit allows.
    pub(super) fn enter(lane: &Arc<Lane>, place: Option<Place>) -> Self {
        lane.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            lane: Arc::clone(lane),
            _place: place,
        }
    }

    /// The idle connections of the runtime that the request runs on.
    pub(super) fn pool(&self) -> &Pool {
        &self.lane.pool
    }

    /// Where the backend listens.
    pub(super) fn address(&self) -> &Address {
        &self.lane.address
    }

    /// Where it counts.
    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.lane.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
