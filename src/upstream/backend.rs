//! One address of an upstream, with its load and its idle connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::address::Address;
use super::pool::Pool;

/// One address that requests can go to.
#[derive(Debug)]
pub struct Backend {
    address: Address,
    in_flight: AtomicUsize,
    /// One for each runtime.
    pools: Box<[Pool]>,
}

impl Backend {
    pub(super) fn new(address: Address, pools: Box<[Pool]>) -> Self {
        Self {
            address,
            in_flight: AtomicUsize::new(0),
            pools,
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
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Counts one request or tunnel of a backend until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    backend: Arc<Backend>,
    worker: usize,
}

impl InFlight {
    pub(super) fn enter(backend: &Arc<Backend>, worker: usize) -> Self {
        backend.in_flight.fetch_add(1, Ordering::Relaxed);
        let backend = Arc::clone(backend);
        Self { backend, worker }
    }

    /// The connections of the runtime that the request runs on.
    pub(super) fn pool(&self) -> &Pool {
        let pools = &self.backend.pools;
        &pools[self.worker % pools.len()]
    }

    /// The backend that is kept busy.
    #[must_use]
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.backend.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
