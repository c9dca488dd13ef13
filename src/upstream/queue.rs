//! The bounded wait for a place at a backend that serves as much as it may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::Error;

/// The requests that wait. Only they write here, which no request does that finds a place at once.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    longest: usize,
    timeout: Duration,
}

/// Counts one that waits until it is dropped.
struct Ticket<'a>(&'a Queue);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Queue {
    /// Room for so many, each for so long.
    pub(super) fn new(longest: usize, timeout: Duration) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            longest,
            timeout,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Waits for a place at one of the backends, each an index with its places, of which there is at least one. Those that
    /// came first are served first.
    pub(super) async fn wait(
        &self,
        backends: Vec<(usize, Arc<Semaphore>)>,
    ) -> Result<(usize, OwnedSemaphorePermit), Error> {
        let ticket = Ticket(self);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.longest {
            return Err(Error::QueueFull);
        }
        let places = backends.into_iter().map(|(index, places)| {
            Box::pin(async move { places.acquire_owned().await.map(|place| (index, place)) })
        });
        let found = timeout(self.timeout, select_all(places)).await;
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
    async fn the_first_place_that_is_free_is_taken_whichever_backend_it_is_at() {
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
    async fn past_its_bound_and_past_its_time_the_queue_turns_requests_away() {
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
