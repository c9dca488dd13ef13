//! Queue of requests that wait while all backends are full.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::timeout;

use crate::upstream::backend::{ClientCounts, ClientShare, LimitSlot, MaxConnections};
use crate::upstream::error::Error;

/// Queue of waiting requests, in which each client has a share. Requests that get a slot at once do not touch it.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    clients: Arc<ClientCounts>,
    max_len: usize,
    timeout: Duration,
}

/// Counts one waiting request until it is dropped.
struct Ticket<'a>(&'a Queue);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Queue {
    /// A queue of at most `max_len` requests, in which each waits for at most `timeout`.
    pub(super) fn new(max_len: usize, timeout: Duration) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            clients: ClientCounts::new(max_len),
            max_len,
            timeout,
        }
    }

    /// Number of waiting requests.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Waits for a slot at one of `backends`, which are pairs of an index and its limit. At each backend, requests are
    /// served in the order of their arrival, except for those of a client that has its share. Panics if there are no
    /// backends.
    pub(super) async fn wait(
        &self,
        backends: Vec<(usize, MaxConnections)>,
        client: Option<&Arc<ClientShare>>,
    ) -> Result<(usize, LimitSlot), Error> {
        let ticket = Ticket(self);
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let free = self.max_len.saturating_sub(before);
        if free == 0 {
            return Err(Error::QueueFull);
        }
        let _place = match client {
            None => None,
            Some(client) => Some(self.clients.take(client, free).ok_or(Error::QueueFull)?),
        };
        let slots = backends.into_iter().map(|(index, limit)| {
            let waiting = limit.wait(client.cloned());
            Box::pin(async move { (index, waiting.await) })
        });
        let found = timeout(self.timeout, select_all(slots)).await;
        drop(ticket);
        let (found, _, _) = found.map_err(|_| Error::QueueTimeout)?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// A limit without a free slot, and the slot that is taken.
    fn full() -> (MaxConnections, LimitSlot) {
        let limit = MaxConnections::new(1);
        let slot = limit.take(None).unwrap();
        (limit, slot)
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_request_takes_the_first_free_slot_at_any_backend() {
        let queue = Queue::new(1, Duration::from_secs(10));
        let ((one, _slot), (other, freed)) = (full(), full());
        let waiting = queue.wait(vec![(3, one), (5, other)], None);
        let free = async {
            tokio::task::yield_now().await;
            drop(freed);
        };
        let (found, ()) = tokio::join!(waiting, free);
        assert_eq!(found.unwrap().0, 5);
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_rejects_requests_beyond_its_length_and_after_its_time_out() {
        let queue = Queue::new(1, Duration::from_secs(10));
        let (limit, _slot) = full();
        let start = Instant::now();
        let (late, refused) = tokio::join!(queue.wait(vec![(0, limit.clone())], None), async {
            tokio::task::yield_now().await;
            let refused = queue.wait(vec![(0, limit.clone())], None).await;
            refused.map(|_| start.elapsed())
        });
        assert!(matches!(late, Err(Error::QueueTimeout)));
        assert!(matches!(refused, Err(Error::QueueFull)));
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_leaves_places_in_the_queue() {
        let queue = Queue::new(4, Duration::from_secs(10));
        let (limit, _slot) = full();
        let (greedy, other) = (Arc::default(), Arc::default());
        let wait = async |client: &Arc<ClientShare>| {
            let outcome = queue.wait(vec![(0, limit.clone())], Some(client)).await;
            matches!(outcome, Err(Error::QueueFull))
        };
        let refused = tokio::join!(
            wait(&greedy),
            wait(&greedy),
            wait(&greedy),
            wait(&greedy),
            wait(&other)
        );
        assert_eq!(refused, (false, false, false, true, false));
    }
}
