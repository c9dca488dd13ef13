//! What all upstreams share.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::own_addresses::OwnAddresses;
use super::resolve::{DnsServer, Resolver};
use super::system_roots::SystemRoots;
use crate::tasks::Tasks;

/// What all upstreams share.
#[derive(Clone)]
pub struct Means {
    /// Runs what goes on when no request waits for it.
    pub tasks: Tasks,
    /// Bounds the open connections.
    pub places: Arc<Semaphore>,
    /// How many runtimes send requests. A connection stays with the one that it was made on.
    pub workers: usize,
    /// Verify the backends that no other roots are named for.
    pub system_roots: SystemRoots,
    /// Knows where the hosts of backends are.
    pub resolver: Resolver,
    /// Where no backend may be.
    pub own_addresses: OwnAddresses,
    /// Signs the cookies of upstreams without a key of their own.
    pub cookie_key: [u8; 32],
}

impl Means {
    /// Those of a single runtime without a bound, with the system's resolver and a key that is drawn now.
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        let places = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let mut cookie_key = [0; 32];
        aws_lc_rs::rand::fill(&mut cookie_key).expect("the system has random bytes");
        Self {
            tasks,
            places,
            workers: 1,
            system_roots: SystemRoots::default(),
            resolver: Resolver::new(vec![DnsServer::System]),
            own_addresses: OwnAddresses::default(),
            cookie_key,
        }
    }
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
