//! Queue of requests that wait while all backends are full.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::upstream::error::Error;

/// Queue of waiting requests. Requests that get a slot at once do not touch it.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: AtomicUsize,
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
            max_len,
            timeout,
        }
    }

    /// Number of waiting requests.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Waits for a slot at one of `backends`, which are pairs of an index and its slots. At each backend, requests are
    /// served in the order of their arrival. Panics if there are no backends.
    pub(super) async fn wait(
        &self,
        backends: Vec<(usize, Arc<Semaphore>)>,
    ) -> Result<(usize, OwnedSemaphorePermit), Error> {
        let ticket = Ticket(self);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.max_len {
            return Err(Error::QueueFull);
        }
        let slots = backends.into_iter().map(|(index, slots)| {
            Box::pin(async move { slots.acquire_owned().await.map(|slot| (index, slot)) })
        });
        let found = timeout(self.timeout, select_all(slots)).await;
        drop(ticket);
        match found {
            Ok((Ok(found), _, _)) => Ok(found),
            Ok((Err(_), _, _)) | Err(_) => Err(Error::QueueTimeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn full() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(0))
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_request_takes_the_first_free_slot_at_any_backend() {
        let queue = Queue::new(1, Duration::from_secs(10));
        let (one, other) = (full(), full());
        let waiting = queue.wait(vec![(3, one), (5, Arc::clone(&other))]);
        let free = async {
            tokio::task::yield_now().await;
            other.add_permits(1);
        };
        let (found, ()) = tokio::join!(waiting, free);
        assert_eq!(found.unwrap().0, 5);
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_rejects_requests_beyond_its_length_and_after_its_time_out() {
        let queue = Queue::new(1, Duration::from_secs(10));
        let start = Instant::now();
        let (late, refused) = tokio::join!(queue.wait(vec![(0, full())]), async {
            tokio::task::yield_now().await;
            queue.wait(vec![(0, full())]).await.map(|_| start.elapsed())
        });
        assert!(matches!(late, Err(Error::QueueTimeout)));
        assert!(matches!(refused, Err(Error::QueueFull)));
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(queue.len(), 0);
    }
}
