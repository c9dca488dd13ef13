//! Context that all upstreams share: tasks, resolver, trusted roots and limits.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::dns_client::NameServer;
use crate::tasks::Tasks;
use crate::upstream::dns::Resolver;
use crate::upstream::transport::{ListenAddresses, SystemRoots};

/// Context that all upstreams share.
#[derive(Clone)]
pub struct UpstreamContext {
    /// Background tasks.
    pub tasks: Tasks,
    /// Permits for open connections, one for each.
    pub connection_permits: Arc<Semaphore>,
    /// Number of workers that send requests. A connection stays with the worker that opened it.
    pub workers: usize,
    /// Roots for `https://` backends of upstreams without roots of their own.
    pub system_roots: SystemRoots,
    /// Resolver for the hosts of backends.
    pub resolver: Resolver,
    /// Addresses on which the proxy listens. A connection to one of them is refused as a loop.
    pub listen_addresses: ListenAddresses,
    /// Key for the cookies of upstreams without a key of their own.
    pub cookie_key: [u8; 32],
}

impl UpstreamContext {
    /// A context for one worker, with unlimited connections, the system's resolver and a random cookie key.
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
            listen_addresses: ListenAddresses::default(),
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
