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
    pub(super) pool: Pool,
}

impl Backend {
    pub(super) fn new(address: Address, pool: Pool) -> Self {
        Self {
            address,
            in_flight: AtomicUsize::new(0),
            pool,
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
pub struct InFlight(Arc<Backend>);

impl InFlight {
    pub(super) fn enter(backend: &Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(backend))
    }

    /// The backend that is kept busy.
    #[must_use]
    pub fn backend(&self) -> &Arc<Backend> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
