//! `Expect: 100-continue`: the client sends its upload only after the backend has asked for it (RFC 9110 section
//! 10.1.1).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Sleep, sleep};

/// Time that a backend has to ask for an upload. After that it gets the upload anyway, because not every server
/// supports `Expect`.
const PATIENCE: Duration = Duration::from_secs(1);

/// No backend knows of the upload yet.
const NOT_ANNOUNCED: u8 = 0;
/// A backend knows of the upload and has not asked for it yet.
const WAITING: u8 = 1;
/// The client was or will be asked for the upload.
const MET: u8 = 2;
/// The backend has answered without the upload and does not want it.
const REFUSED: u8 = 3;

/// State of an upload with `Expect: 100-continue`. Clones share the state.
#[derive(Clone, Debug)]
pub struct ExpectContinue(Arc<AtomicU8>);

impl ExpectContinue {
    /// Records that the upload was announced to a backend, which has to ask for it.
    pub(super) fn announce(&self) {
        self.change(NOT_ANNOUNCED, WAITING);
    }

    /// Records that the backend asks for the upload.
    pub(in crate::upstream) fn ask(&self) {
        self.change(WAITING, MET);
    }

    /// `true` if the client was or will be asked for the upload.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.state() == MET
    }

    /// Records the backend's response. Returns `true` if it has arrived before the backend asked for the upload.
    ///
    /// After a success, the backend may still read the upload although it has not asked. After any other status it does
    /// not.
    pub(in crate::upstream) fn answered(&self, status: StatusCode) -> bool {
        let is_early = !self.is_met();
        if !status.is_success() {
            self.change(WAITING, REFUSED);
        }
        is_early
    }

    /// Changes the state, if it is `from`.
    fn change(&self, from: u8, to: u8) {
        let order = Ordering::Relaxed;
        let _ = self.0.compare_exchange(from, to, order, order);
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Holds an upload back until the backend asks for it. The wait is over at once if the upload was not announced to a backend.
#[derive(Debug)]
pub(super) struct ContinueWait {
    expect_continue: ExpectContinue,
    /// Timer of [`PATIENCE`], which starts when the upload could be sent.
    patience: Option<Pin<Box<Sleep>>>,
}

impl ContinueWait {
    pub(super) fn new() -> Self {
        Self {
            expect_continue: ExpectContinue(Arc::new(AtomicU8::new(NOT_ANNOUNCED))),
            patience: None,
        }
    }

    pub(super) fn expect_continue(&self) -> &ExpectContinue {
        &self.expect_continue
    }

    /// Ready when the upload may be read. Only the timer wakes the task, so this must also be polled after each message
    /// from the backend.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let expect_continue = &self.expect_continue;
        expect_continue.change(NOT_ANNOUNCED, MET);
        if expect_continue.state() == WAITING {
            let new = || Box::pin(sleep(PATIENCE));
            ready!(self.patience.get_or_insert_with(new).as_mut().poll(cx));
            expect_continue.change(WAITING, MET);
        }
        if expect_continue.is_met() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;

    fn is_over(wait: &mut ContinueWait) -> bool {
        poll_fn(|cx| wait.poll_over(cx)).now_or_never().is_some()
    }

    /// The wait of an upload that was announced to a backend.
    fn announced() -> (ContinueWait, ExpectContinue) {
        let wait = ContinueWait::new();
        let expect_continue = wait.expect_continue().clone();
        expect_continue.announce();
        (wait, expect_continue)
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_opens_when_the_backend_asks_or_is_silent_for_too_long() {
        assert!(
            is_over(&mut ContinueWait::new()),
            "the upload was not announced"
        );

        let (mut wait, expect_continue) = announced();
        assert!(!is_over(&mut wait));
        expect_continue.ask();
        assert!(is_over(&mut wait));

        let (mut wait, expect_continue) = announced();
        let start = Instant::now();
        poll_fn(|cx| wait.poll_over(cx)).await;
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(expect_continue.is_met());
    }

    #[tokio::test(start_paused = true)]
    async fn the_gate_stays_closed_after_a_refusal() {
        let (mut wait, expect_continue) = announced();
        assert!(expect_continue.answered(StatusCode::PAYLOAD_TOO_LARGE));
        tokio::time::advance(2 * PATIENCE).await;
        assert!(!is_over(&mut wait) && !expect_continue.is_met());
    }

    #[tokio::test(start_paused = true)]
    async fn the_gate_still_opens_in_time_after_an_early_success() {
        let (mut wait, expect_continue) = announced();
        assert!(expect_continue.answered(StatusCode::OK));
        assert!(!is_over(&mut wait));
        tokio::time::advance(2 * PATIENCE).await;
        assert!(is_over(&mut wait));
        assert!(
            !expect_continue.answered(StatusCode::OK),
            "it was asked for"
        );
    }
}
