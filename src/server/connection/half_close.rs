//! Clients that close their sending side after a request, and still want its answer. Nothing tells them apart from clients that
//! have left, until something is sent to them. The answer may therefore pause for a limited time only.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::deadlines::Deadlines;

/// End of what a client sends, while the answer to its last request is awaited.
#[derive(Debug)]
pub(super) struct HalfClose {
    since: Instant,
    answer_wait: Duration,
    timer: Pin<Box<Sleep>>,
    /// Task of the protocol, which does not read again on its own while it waits for the end.
    waiting: Option<Waker>,
}

impl HalfClose {
    /// Records that the client's sending side has just ended. Each pause of the answer may last for `answer_wait`.
    pub(super) fn new(answer_wait: Duration) -> Self {
        let since = Instant::now();
        Self {
            since,
            answer_wait,
            timer: Box::pin(sleep_until(since)),
            waiting: None,
        }
    }

    /// Records that some of the answer was sent.
    pub(super) fn written(&mut self) {
        self.since = Instant::now();
    }

    /// Wakes the protocol if it waits for an end that it may see now, because the answer is over.
    pub(super) fn flushed(&mut self, deadlines: &Deadlines) {
        if deadlines.wait_after_end(self.answer_wait).is_none()
            && let Some(waiting) = self.waiting.take()
        {
            waiting.wake();
        }
    }

    /// Waits until the protocol may see the end: at once if no answer is awaited, else when its time is over.
    pub(super) fn poll_over(&mut self, deadlines: &Deadlines, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(wait) = deadlines.wait_after_end(self.answer_wait) {
            let until = self.since + wait;
            if until <= Instant::now() {
                break;
            }
            if self.timer.deadline() != until {
                self.timer.as_mut().reset(until);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                self.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        self.waiting = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::proxy::Http1Body;

    const ANSWER_WAIT: Duration = Duration::from_secs(60);

    async fn waited(deadlines: &Deadlines) -> Duration {
        let start = Instant::now();
        let mut half_close = HalfClose::new(ANSWER_WAIT);
        poll_fn(|cx| half_close.poll_over(deadlines, cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_whole_request_has_some_time() {
        let deadlines = Deadlines::new(false);
        assert!(waited(&deadlines).await.is_zero(), "no request runs");
        deadlines.request_began();
        assert_eq!(waited(&deadlines).await, ANSWER_WAIT);
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
        assert_eq!(waited, ANSWER_WAIT, "the rest was only read late");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_flows_slowly_has_all_the_time_that_it_needs() {
        let deadlines = Deadlines::new(false);
        deadlines.request_began();
        let begin = Instant::now();
        let mut half_close = HalfClose::new(ANSWER_WAIT);
        for _ in 0..10 {
            let over = poll_fn(|cx| half_close.poll_over(&deadlines, cx));
            let pause = tokio::time::timeout(ANSWER_WAIT / 2, over);
            assert!(pause.await.is_err());
            half_close.written();
        }
        poll_fn(|cx| half_close.poll_over(&deadlines, cx)).await;
        assert_eq!(begin.elapsed(), 5 * ANSWER_WAIT + ANSWER_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_seen_as_soon_as_the_answer_is_over() {
        let deadlines = Deadlines::new(false);
        deadlines.request_began();
        let start = Instant::now();
        let half_close = std::cell::RefCell::new(HalfClose::new(ANSWER_WAIT));
        let over = poll_fn(|cx| half_close.borrow_mut().poll_over(&deadlines, cx));
        let answer = async {
            half_close.borrow_mut().flushed(&deadlines);
            tokio::time::sleep(Duration::from_secs(7)).await;
            deadlines.request_ended();
            half_close.borrow_mut().flushed(&deadlines);
        };
        tokio::join!(over, answer);
        assert_eq!(start.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn http_2_has_no_half_closed_clients() {
        let deadlines = Deadlines::new(true);
        deadlines.request_began();
        assert!(waited(&deadlines).await.is_zero());
    }
}
