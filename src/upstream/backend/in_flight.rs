//! Requests in flight at one backend, counted per worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::backend_figures::BackendFigures;
use super::client_share::{ClientShare, HeldConnection};
use super::max_connections::LimitSlot;
use crate::per_worker::CachePadded;
use crate::upstream::address::Address;
use crate::upstream::connection::Pool;

/// One worker's part of a backend: its requests in flight and its connections. Each lane has its own cache lines, so
/// that no request writes to memory that another core reads.
#[derive(Debug)]
pub(in crate::upstream) struct Lane {
    address: Address,
    in_flight: AtomicUsize,
    figures: BackendFigures,
    pool: Pool,
}

impl Lane {
    /// A lane without requests.
    pub(in crate::upstream) fn new(address: &Address, pool: Pool) -> Arc<CachePadded<Self>> {
        Arc::new(CachePadded::new(Self {
            address: address.clone(),
            in_flight: AtomicUsize::new(0),
            figures: BackendFigures::default(),
            pool,
        }))
    }

    /// Address of the backend.
    pub(in crate::upstream) fn address(&self) -> &Address {
        &self.address
    }

    /// Connections of the worker to the backend.
    pub(in crate::upstream) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Counters of the worker's attempts at the backend.
    pub(in crate::upstream) fn figures(&self) -> &BackendFigures {
        &self.figures
    }

    /// Number of requests and tunnels in flight from this worker.
    pub(in crate::upstream) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
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

    /// Counts the connection of the request for its client, unless it counts already, while `free` ones are left. Returns
    /// `false` if the client has its share.
    pub(in crate::upstream) fn hold_one_of(
        &mut self,
        free: usize,
        share: Option<&Arc<ClientShare>>,
    ) -> bool {
        let Some(share) = share else {
            return true;
        };
        if self.held.is_none() {
            self.held = share.take(free);
        }
        self.held.is_some()
    }

    /// Hands over the count of the connection, which then lasts longer than the request.
    pub(in crate::upstream) fn take_held(&mut self) -> Option<HeldConnection> {
        self.held.take()
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
