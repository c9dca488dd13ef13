//! Time-out for a body that makes no progress.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Limits the wait for the next frame of a body, or for room to send it.
///
/// The clock runs only while someone waits, so that a slow reader does not look like a stalled sender. The timer is created at the first wait and used for all later ones.
#[derive(Debug)]
pub struct ProgressTimeout {
    timeout: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ProgressTimeout {
    /// A limit of `timeout` for each wait.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            waiting_since: None,
            timer: None,
        }
    }

    /// Ends the current wait, because a frame has arrived.
    pub fn reset(&mut self) {
        self.waiting_since = None;
    }

    /// Starts or continues a wait for a frame. Ready when the wait has lasted too long.
    pub fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.waiting_since.get_or_insert_with(Instant::now) + self.timeout;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_after_the_time_out() {
        let mut progress_timeout = ProgressTimeout::new(Duration::from_secs(60));
        let start = Instant::now();
        poll_fn(|cx| progress_timeout.poll_elapsed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn each_frame_starts_a_new_wait_and_time_between_waits_does_not_count() {
        let mut progress_timeout = ProgressTimeout::new(Duration::from_secs(60));
        for _ in 0..3 {
            let wait = poll_fn(|cx| progress_timeout.poll_elapsed(cx));
            assert!(
                tokio::time::timeout(Duration::from_secs(59), wait)
                    .await
                    .is_err()
            );
            progress_timeout.reset();
            tokio::time::advance(Duration::from_secs(300)).await;
        }
        let start = Instant::now();
        poll_fn(|cx| progress_timeout.poll_elapsed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
    }
}
