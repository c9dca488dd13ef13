//! What all upstreams share: tasks, resolver, trusted roots and limits.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::dns::NameServer;
use crate::tasks::Tasks;
use crate::upstream::dns::Resolver;
use crate::upstream::transport::{OwnAddresses, SystemRoots};

/// Shared parts of all upstreams.
#[derive(Clone)]
pub struct UpstreamContext {
    /// Runs work in the background.
    pub tasks: Tasks,
    /// Bounds the open connections.
    pub connection_permits: Arc<Semaphore>,
    /// Number of workers that send requests. A connection stays with the worker that opened it.
    pub workers: usize,
    /// Verify backends without roots of their own.
    pub system_roots: SystemRoots,
    /// Resolves the hosts of backends.
    pub resolver: Resolver,
    /// Addresses of the proxy itself, where no backend may be.
    pub own_addresses: OwnAddresses,
    /// Signs the cookies of upstreams without a key of their own.
    pub cookie_key: [u8; 32],
}

impl UpstreamContext {
    /// A context for one worker, without a bound on connections, with the system's resolver and a random key.
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        let connection_permits = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let mut cookie_key = [0; 32];
        aws_lc_rs::rand::fill(&mut cookie_key).expect("the system has random bytes");
        Self {
            tasks,
            connection_permits,
            workers: 1,
            system_roots: SystemRoots::default(),
            resolver: Resolver::new(vec![NameServer::System]),
            own_addresses: OwnAddresses::default(),
            cookie_key,
        }
    }
}

impl fmt::Debug for UpstreamContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamContext")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
