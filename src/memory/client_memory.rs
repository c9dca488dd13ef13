//! The memory that requests and responses hold, per client and in all. Knows no connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Part of the free memory that one client may hold. One client alone gets a quarter of all, two get a fifth each, and so on,
/// so that some is always left for the next one.
pub(super) const SHARE: usize = 3;
/// Part of the free memory up to which a client gets windows for uploads, so that windows leave it some for the rest.
pub(super) const SHARE_FOR_WINDOWS: usize = 2 * SHARE;
/// Part of the free memory up to which requests of a client begin to run, so that they leave it some for those that wait.
pub(super) const SHARE_FOR_RUNNING: usize = SHARE + 2;

/// Memory that the streams of all clients may hold.
#[derive(Debug)]
pub struct StreamMemory {
    limit: AtomicUsize,
    used: AtomicUsize,
}

impl StreamMemory {
    /// Allows `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
        })
    }

    /// Changes the limit from now on.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }
}

/// Memory that the streams of one client hold, over all its connections.
#[derive(Debug)]
pub struct ClientMemory {
    all: Arc<StreamMemory>,
    used: AtomicUsize,
}

impl ClientMemory {
    /// Counts the memory of one client as a part of `all`.
    #[must_use]
    pub fn new(all: &Arc<StreamMemory>) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::clone(all),
            used: AtomicUsize::new(0),
        })
    }

    /// Takes `bytes`, to be given back. Returns `false` if the client would have more than one of so many `parts` of what is
    /// free.
    pub(super) fn take(&self, bytes: usize, parts: usize) -> bool {
        let of_all = self.all.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let own = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let free = self
            .all
            .limit
            .load(Ordering::Relaxed)
            .saturating_sub(of_all);
        if own <= free / parts {
            return true;
        }
        self.give_back(bytes);
        false
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.all.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_leaves_memory_for_the_next() {
        let all = StreamMemory::new(1000);
        let clients: Vec<_> = (0..3).map(|_| ClientMemory::new(&all)).collect();
        let take_all =
            |client: &Arc<ClientMemory>| (0..).take_while(|_| client.take(1, SHARE)).count();
        let taken: Vec<_> = clients.iter().map(take_all).collect();
        assert_eq!(taken, [250, 187, 140]);

        clients[0].give_back(250);
        assert_eq!(take_all(&clients[1]), 28, "a part of what became free");
    }

    #[test]
    fn a_changed_limit_applies_at_once() {
        let all = StreamMemory::new(1000);
        let client = ClientMemory::new(&all);
        assert!(client.take(200, SHARE));
        all.set_limit(500);
        assert!(!client.take(1, SHARE));
        all.set_limit(2000);
        assert!(client.take(200, SHARE));
    }
}
