//! Clients that close their sending side after a request, and still want its answer. Nothing tells them apart from
//! clients that have left, until something is sent to them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use super::deadlines::Deadlines;

/// End of what a client sends, while the answer to its last request is awaited.
#[derive(Debug)]
pub(super) struct HalfClose {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl HalfClose {
    /// Records that the client's sending side has just ended.
    pub(super) fn new() -> Self {
        let since = Instant::now();
        Self {
            since,
            timer: Box::pin(sleep_until(since)),
        }
    }

    /// Waits until the protocol may see the end: at once if no answer is awaited, else when its time is over.
    pub(super) fn poll_over(&mut self, deadlines: &Deadlines, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(wait) = deadlines.wait_after_end() {
            let until = self.since + wait;
            if self.timer.deadline() != until {
                self.timer.as_mut().reset(until);
            }
            ready!(self.timer.as_mut().poll(cx));
            if deadlines.wait_after_end().is_none_or(|now| now == wait) {
                break;
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;
    use crate::proxy::Http1Body;

    async fn waited(deadlines: &Deadlines) -> Duration {
        let start = Instant::now();
        let mut half_close = HalfClose::new();
        poll_fn(|cx| half_close.poll_over(deadlines, cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_whole_request_has_some_time() {
        let deadlines = Deadlines::new(false);
        assert!(waited(&deadlines).await.is_zero(), "no request runs");
        deadlines.request_began();
        assert_eq!(waited(&deadlines).await.as_secs(), 5);
        deadlines.request_ended();
        assert!(waited(&deadlines).await.is_zero(), "the request is over");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_was_cut_is_soon_seen() {
        let deadlines = Deadlines::new(false);
        deadlines.request_began();
        deadlines.set_has_body(true);
        let left = Arc::clone(deadlines.upload_left());
        left.store(Http1Body::UNKNOWN, Ordering::Relaxed);
        assert_eq!(waited(&deadlines).await.as_secs(), 1);

        let late = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            left.store(0, Ordering::Relaxed);
        };
        let (waited, ()) = tokio::join!(waited(&deadlines), late);
        assert_eq!(waited.as_secs(), 5, "the rest was only read late");
    }

    #[tokio::test(start_paused = true)]
    async fn http_2_has_no_half_closed_clients() {
        let deadlines = Deadlines::new(true);
        deadlines.request_began();
        assert!(waited(&deadlines).await.is_zero());
    }
}
