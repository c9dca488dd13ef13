//! One address of an upstream, with its load and its idle connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::address::Address;
use super::pool::Pool;

/// One address that requests can go to.
#[derive(Debug)]
pub struct Backend {
    address: Address,
    lanes: Box<[Arc<Lane>]>,
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

impl Backend {
    /// A backend with one of `pools` for each runtime.
    pub(super) fn new(address: Address, pools: impl IntoIterator<Item = Pool>) -> Self {
        let lane = |pool| {
            Arc::new(Lane {
                address: address.clone(),
                in_flight: AtomicUsize::new(0),
                pool,
            })
        };
        Self {
            lanes: pools.into_iter().map(lane).collect(),
            address,
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
        self.lanes.iter().map(|lane| lane.in_flight()).sum()
    }

    /// What the runtime of this number knows of it.
    pub(super) fn lane(&self, worker: usize) -> &Arc<Lane> {
        &self.lanes[worker % self.lanes.len()]
    }
}

impl Lane {
    /// How many requests and tunnels of this runtime the backend is serving.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Counts one request or tunnel of a backend until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Lane>);

impl InFlight {
    pub(super) fn enter(lane: &Arc<Lane>) -> Self {
        lane.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(lane))
    }

    /// The idle connections of the runtime that the request runs on.
    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Where the backend listens.
    pub(super) fn address(&self) -> &Address {
        &self.0.address
    }

    /// Counts once more at the same lane.
    pub(super) fn again(&self) -> Self {
        Self::enter(&self.0)
    }

    /// Whether it counts at this lane.
    pub(super) fn is_at(&self, lane: &Arc<Lane>) -> bool {
        Arc::ptr_eq(&self.0, lane)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
