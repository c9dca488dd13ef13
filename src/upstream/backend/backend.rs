//! One backend of an upstream: its load, health and connections.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::backend_figures::BackendTotals;
use super::client_share::ClientShare;
use super::health_state::HealthState;
use super::in_flight::{InFlight, Lane};
use super::max_connections::MaxConnections;
use super::rendezvous::backend_seed;
use crate::figures::RecentTotals;
use crate::per_worker::{CachePadded, PerWorker};
use crate::tasks::Tasks;
use crate::upstream::address::Address;
use crate::upstream::connection::Pool;
use crate::upstream::error::Error;
use crate::upstream::options::Share;

/// One address to which requests can go. Clones share its state.
#[derive(Clone, Debug)]
pub struct Backend {
    address: Address,
    lanes: PerWorker<Arc<CachePadded<Lane>>>,
    health_state: Arc<CachePadded<HealthState>>,
    weight: u16,
    max_connections: Option<MaxConnections>,
    seed: u64,
    recent: Arc<Mutex<RecentTotals>>,
}

impl Backend {
    /// A backend with weight 1 and no limit. There must be one pool for each worker.
    pub(in crate::upstream) fn new(
        address: Address,
        pools: PerWorker<Pool>,
        health_state: Arc<CachePadded<HealthState>>,
    ) -> Self {
        let lane = |pool: &Pool| Lane::new(&address, pool.clone());
        Self {
            lanes: pools.iter().map(lane).collect(),
            health_state,
            weight: 1,
            max_connections: None,
            seed: backend_seed(&address.to_string()),
            recent: Arc::new(Mutex::new(RecentTotals::new(Instant::now()))),
            address,
        }
    }

    /// Copies the backend for another upstream, with another health state. Both share requests in flight and
    /// connections.
    pub(in crate::upstream) fn with_health(
        &self,
        health_state: Arc<CachePadded<HealthState>>,
    ) -> Self {
        Self {
            address: self.address.clone(),
            lanes: self.lanes.clone(),
            health_state,
            weight: 1,
            max_connections: self.max_connections.clone(),
            seed: self.seed,
            recent: Arc::clone(&self.recent),
        }
    }

    /// Sets the weight and the limit of connections. An unchanged limit keeps its slots. A new limit also counts the
    /// requests that are already in flight; this needs a runtime.
    pub(in crate::upstream) fn with_share(
        self,
        share: Share,
        max_connections: Option<u16>,
        tasks: &Tasks,
    ) -> Self {
        let count = share.max_connections.or(max_connections);
        let kept = self
            .max_connections
            .filter(|limit| Some(limit.count()) == count);
        let lanes = &self.lanes;
        let new = |count| {
            let lanes = lanes.clone();
            MaxConnections::counting(count, move || in_flight(&lanes), tasks)
        };
        Self {
            weight: share.weight,
            max_connections: kept.or_else(|| count.map(new)),
            ..self
        }
    }

    /// Address of the backend.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Number of requests and tunnels in flight, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        in_flight(&self.lanes)
    }

    /// Attempts since the start, over all workers.
    pub(super) fn totals(&self) -> BackendTotals {
        let mut totals = BackendTotals::default();
        for lane in &self.lanes {
            lane.figures().add_to(&mut totals);
        }
        totals
    }

    /// Samples of the attempts of the last minutes.
    pub(super) fn recent(&self) -> &Mutex<RecentTotals> {
        &self.recent
    }

    /// `true` if the active health check fails.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.health_state.is_down()
    }

    /// `true` if the backend gets no requests for a while, because too many have failed.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.health_state.is_ejected(Instant::now())
    }

    /// `true` if the backend is down, or was ejected and has not recovered since.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.health_state.is_out()
    }

    /// Part of the backend that belongs to this worker.
    pub(in crate::upstream) fn lane(&self, worker: usize) -> &Arc<CachePadded<Lane>> {
        &self.lanes[worker]
    }

    pub(in crate::upstream) fn health_state(&self) -> &Arc<CachePadded<HealthState>> {
        &self.health_state
    }

    /// Counts an attempt of this worker that has failed, and keeps the reason.
    pub(in crate::upstream) fn count_failure(&self, worker: usize, error: &Error) {
        self.lanes[worker].figures().failed();
        self.health_state.record().failed(error);
    }

    /// Records that a request has failed.
    pub(in crate::upstream) fn record_failure(&self) {
        if let Some(length) = self.health_state.record_failure(Instant::now()) {
            warn!(backend = %self.address, retry_in = ?length, "backend ejected after too many failures");
        }
    }

    /// Records that a request has succeeded. Writes nothing to memory if the backend is in good health.
    pub(in crate::upstream) fn record_success(&self) {
        if !self.health_state.is_good() && self.health_state.record_success(Instant::now()) {
            info!(backend = %self.address, "backend gets requests again");
        }
    }

    pub(in crate::upstream) fn weight(&self) -> u16 {
        self.weight
    }

    /// Number that represents the backend in rendezvous hashing.
    pub(in crate::upstream) fn seed(&self) -> u64 {
        self.seed
    }

    pub(in crate::upstream) fn has_no_limit(&self) -> bool {
        self.max_connections.is_none()
    }

    /// `true` if the limit allows another request.
    pub(in crate::upstream) fn has_room(&self) -> bool {
        let limit = self.max_connections.as_ref();
        limit.is_none_or(MaxConnections::has_room)
    }

    /// Limit of the requests in flight, if there is one.
    pub(in crate::upstream) fn max_connections(&self) -> Option<&MaxConnections> {
        self.max_connections.as_ref()
    }

    /// Counts a request of this client. Returns `None` if the backend is full, or if the client has its share.
    pub(in crate::upstream) fn enter(
        &self,
        worker: usize,
        client: Option<&Arc<ClientShare>>,
    ) -> Option<InFlight> {
        let slot = match &self.max_connections {
            None => None,
            Some(limit) => Some(limit.take(client)?),
        };
        Some(InFlight::enter(self.lane(worker), slot))
    }
}

fn in_flight(lanes: &PerWorker<Arc<CachePadded<Lane>>>) -> usize {
    lanes.iter().map(|lane| lane.in_flight()).sum()
}
