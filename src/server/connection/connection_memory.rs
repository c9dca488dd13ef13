//! The memory that the streams of one HTTP/2 connection hold. Small amounts are the connection's own; for more, it draws on the
//! share of its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::server::accept::ClientMemory;

/// Bytes that every connection may hold, so that ordinary ones touch no counter that other cores use.
pub(super) const OWN: usize = 64 * 1024;
/// Unit in which more is drawn.
const BLOCK: usize = 64 * 1024;

/// Memory of one connection.
#[derive(Debug)]
pub(in crate::server) struct ConnectionMemory {
    client: Arc<ClientMemory>,
    used: AtomicUsize,
    /// Bytes drawn from the client's share.
    drawn: AtomicUsize,
    /// Bytes of `used` that were handed to the protocol and are not written yet.
    unsent: AtomicUsize,
}

impl ConnectionMemory {
    pub(super) fn new(client: Arc<ClientMemory>) -> Arc<Self> {
        Arc::new(Self {
            client,
            used: AtomicUsize::new(0),
            drawn: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
        })
    }

    /// Holds `bytes` until the result is dropped. Returns `None` if the client has its share.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Option<HeldMemory> {
        self.take(bytes).then(|| HeldMemory {
            memory: Arc::clone(self),
            bytes,
        })
    }

    /// Holds `bytes` that are handed to the protocol, until they are written. Returns `false` if the client has its share.
    pub(super) fn queue(&self, bytes: usize) -> bool {
        let is_taken = self.take(bytes);
        if is_taken {
            self.unsent.fetch_add(bytes, Ordering::Relaxed);
        }
        is_taken
    }

    /// Records that the client's connection has taken `bytes`.
    pub(super) fn written(&self, bytes: usize) {
        let unsent = self.unsent.load(Ordering::Relaxed);
        if unsent > 0 {
            let sent = unsent.min(bytes);
            self.unsent.fetch_sub(sent, Ordering::Relaxed);
            self.give_back(sent);
        }
    }

    /// Records that the protocol has nothing left to write. Bytes of streams that were reset are never written.
    pub(super) fn all_written(&self) {
        if self.unsent.load(Ordering::Relaxed) > 0 {
            self.give_back(self.unsent.swap(0, Ordering::Relaxed));
        }
    }

    fn take(&self, bytes: usize) -> bool {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let missing = used.saturating_sub(OWN + self.drawn.load(Ordering::Relaxed));
        if missing == 0 {
            return true;
        }
        let more = missing.next_multiple_of(BLOCK);
        if self.client.take(more) {
            self.drawn.fetch_add(more, Ordering::Relaxed);
            return true;
        }
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    fn give_back(&self, bytes: usize) {
        let used = self.used.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if used <= OWN / 2 && self.drawn.load(Ordering::Relaxed) > 0 {
            self.client.give_back(self.drawn.swap(0, Ordering::Relaxed));
        }
    }
}

impl Drop for ConnectionMemory {
    fn drop(&mut self) {
        self.client.give_back(*self.drawn.get_mut());
    }
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub(super) struct HeldMemory {
    memory: Arc<ConnectionMemory>,
    bytes: usize,
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::accept::StreamMemory;

    fn memories(limit: usize) -> [Arc<ConnectionMemory>; 2] {
        let client = ClientMemory::new(&StreamMemory::new(limit));
        [(); 2].map(|()| ConnectionMemory::new(Arc::clone(&client)))
    }

    #[test]
    fn what_a_connection_has_of_its_own_is_not_counted_for_its_client() {
        let [one, other] = memories(0);
        let held = one.hold(OWN);
        assert!(held.is_some() && one.hold(1).is_none());
        assert!(other.hold(OWN).is_some());
        drop(held);
        assert!(one.hold(OWN).is_some());
    }

    #[test]
    fn connections_of_one_client_share_its_part() {
        let [one, other] = memories(4 * 10 * BLOCK);
        let held = one.hold(OWN + 10 * BLOCK);
        assert!(held.is_some());
        assert!(other.hold(OWN + 1).is_none());
        drop(held);
        assert!(other.hold(OWN + 10 * BLOCK).is_some());
        let held = one.hold(OWN + BLOCK);
        assert!(held.is_some());
        // A connection that ends gives all back.
        drop((held, one));
        assert!(other.hold(OWN + 10 * BLOCK).is_some());
    }

    #[test]
    fn queued_bytes_are_held_until_they_are_written_or_nothing_is_left_to_write() {
        let [one, _] = memories(0);
        assert!(one.queue(OWN) && !one.queue(1));
        one.written(10);
        assert!(one.queue(10) && !one.queue(1));
        one.all_written();
        one.written(1000);
        assert!(one.queue(OWN) && !one.queue(1));
    }
}
