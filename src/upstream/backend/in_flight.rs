//! Requests in flight at one backend, counted per worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client_share::HeldConnection;
use crate::per_worker::CachePadded;
use crate::upstream::address::Address;
use crate::upstream::connection::Pool;

/// One worker's part of a backend: its requests in flight and its connections. Each lane has its own cache lines, so
/// that no request writes to memory that another core reads.
#[derive(Debug)]
pub(in crate::upstream) struct Lane {
    address: Address,
    in_flight: AtomicUsize,
    pool: Pool,
}

impl Lane {
    /// A lane without requests.
    pub(in crate::upstream) fn new(address: &Address, pool: Pool) -> Arc<CachePadded<Self>> {
        Arc::new(CachePadded::new(Self {
            address: address.clone(),
            in_flight: AtomicUsize::new(0),
            pool,
        }))
    }

    /// Address of the backend.
    pub(in crate::upstream) fn address(&self) -> &Address {
        &self.address
    }

    /// Number of requests and tunnels in flight from this worker.
    pub(in crate::upstream) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// One of the slots that `max-connections` allows, held until it is dropped. Smaller than a permit, because every
/// request has room for it.
#[derive(Debug)]
pub(in crate::upstream) struct LimitSlot(Arc<Semaphore>);

impl LimitSlot {
    /// Takes a slot; `None` if all are taken.
    pub(in crate::upstream) fn take(slots: &Arc<Semaphore>) -> Option<Self> {
        slots.try_acquire().ok()?.forget();
        Some(Self(Arc::clone(slots)))
    }
}

impl From<OwnedSemaphorePermit> for LimitSlot {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        let slots = Arc::clone(permit.semaphore());
        permit.forget();
        Self(slots)
    }
}

impl Drop for LimitSlot {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// Counts one request or tunnel of a backend until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    lane: Arc<CachePadded<Lane>>,
    _slot: Option<LimitSlot>,
    held: Option<HeldConnection>,
}

impl InFlight {
    /// Counts a request. A request to a backend with a limit also holds a slot.
    pub(in crate::upstream) fn enter(
        lane: &Arc<CachePadded<Lane>>,
        slot: Option<LimitSlot>,
    ) -> Self {
        lane.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            lane: Arc::clone(lane),
            _slot: slot,
            held: None,
        }
    }

    /// Counts the connection of the request for its client, until the request is over.
    pub(in crate::upstream) fn hold(&mut self, held: Option<HeldConnection>) {
        self.held = held;
    }

    /// Pool of the worker on which the request runs.
    pub(in crate::upstream) fn pool(&self) -> &Pool {
        &self.lane.pool
    }

    /// Address of the backend.
    pub(in crate::upstream) fn address(&self) -> &Address {
        &self.lane.address
    }

    /// Lane that counts the request.
    pub(in crate::upstream) fn lane(&self) -> &Arc<CachePadded<Lane>> {
        &self.lane
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.lane.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
