//! Time-out of a body that makes no progress.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Bounds the wait for the next frame of a body.
///
/// A body that is never waited for costs no timer, and one that is costs a single timer however many frames it has. The
/// clock runs only while someone waits for a frame, so that a slow reader is not taken for a stalled sender.
#[derive(Debug)]
pub(super) struct ProgressTimeout {
    timeout: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ProgressTimeout {
    /// A bound of `timeout` on each wait.
    #[must_use]
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            waiting_since: None,
            timer: None,
        }
    }

    /// Ends the current wait: a frame arrived.
    pub(super) fn reset(&mut self) {
        self.waiting_since = None;
    }

    /// Begins a wait or goes on with it: no frame is there yet. Ready once the wait has lasted too long.
    pub(super) fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
    async fn a_wait_that_lasts_too_long_is_a_stall() {
        let mut progress_timeout = ProgressTimeout::new(Duration::from_secs(60));
        let start = Instant::now();
        poll_fn(|cx| progress_timeout.poll_elapsed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn each_frame_starts_a_new_wait_and_the_time_between_waits_does_not_count() {
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
