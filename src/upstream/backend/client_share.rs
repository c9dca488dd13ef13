//! The share of one client in the connections to backends. However many a client wants, others always find some.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Time after which a waiting client looks for connections that others have released.
const RECHECK: Duration = Duration::from_millis(250);

/// Connections to backends that one client holds, over all its own connections.
///
/// Only connections that carry one request at a time count. A client may hold as many as are free: one client gets at most half
/// of all, two get a third each, and so on. Some are always left for the next one.
#[derive(Debug, Default)]
pub struct ClientShare {
    held: AtomicUsize,
    waiting: AtomicUsize,
    released: Notify,
}

impl ClientShare {
    /// Takes a connection while `free` ones are left. Returns `None` if the client has its share.
    pub(in crate::upstream) fn take(self: &Arc<Self>, free: usize) -> Option<HeldConnection> {
        let before = self.held.fetch_add(1, Ordering::Relaxed);
        if before == 0 || before < free {
            return Some(HeldConnection(Arc::clone(self)));
        }
        // Nobody is notified: nothing was released.
        self.held.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Waits until it may be possible to take a connection.
    pub(in crate::upstream) async fn released(&self) {
        let _waiting = Waiting::new(&self.waiting);
        let _ = timeout(RECHECK, self.released.notified()).await;
    }
}

/// A connection that counts for its client until this is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct HeldConnection(Arc<ClientShare>);

impl Drop for HeldConnection {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
        if self.0.waiting.load(Ordering::Relaxed) > 0 {
            self.0.released.notify_one();
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many connections of `free` as the client gets.
    fn take_all(client: &Arc<ClientShare>, free: &mut usize) -> Vec<HeldConnection> {
        let mut all = Vec::new();
        while let Some(held) = client.take(*free) {
            all.push(held);
            *free = free.saturating_sub(1);
        }
        all
    }

    #[test]
    fn each_client_leaves_connections_for_the_next() {
        let mut free = 100;
        let clients: Vec<Arc<ClientShare>> = (0..4).map(|_| Arc::default()).collect();
        let taken: Vec<_> = clients
            .iter()
            .map(|client| take_all(client, &mut free))
            .collect();
        let counts: Vec<_> = taken.iter().map(Vec::len).collect();
        assert_eq!(counts, [50, 25, 13, 6]);
        assert_eq!(free, 6);
    }

    #[test]
    fn a_client_without_a_connection_may_always_ask_for_one() {
        let client = Arc::<ClientShare>::default();
        let held = client.take(0);
        assert!(held.is_some());
        assert!(client.take(1).is_none());
        drop(held);
        assert!(client.take(0).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_request_of_the_client_gets_what_another_releases() {
        let client = Arc::<ClientShare>::default();
        let held = client.take(1);
        let begin = tokio::time::Instant::now();
        let releasing = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        tokio::join!(client.released(), releasing);
        assert_eq!(begin.elapsed(), Duration::ZERO);
        client.released().await;
        assert_eq!(begin.elapsed(), RECHECK, "others release theirs too");
    }
}
