//! `Expect: 100-continue`: an upload that its client sends only when the backend asks for it (RFC 9110 section 10.1.1).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Sleep, sleep};

/// Time for a backend to ask before it gets the upload anyway: not every server knows of `Expect`.
const PATIENCE: Duration = Duration::from_secs(1);

const UNTOLD: u8 = 0;
const WAITING: u8 = 1;
const MET: u8 = 2;
const REFUSED: u8 = 3;

/// State of an upload that waits to be asked for. Clones share the state.
#[derive(Clone, Debug)]
pub struct ExpectContinue(Arc<AtomicU8>);

impl ExpectContinue {
    /// Records that the upload was announced to a backend, which is the one to ask for it.
    pub(super) fn announce(&self) {
        self.settle(UNTOLD, WAITING);
    }

    /// Records that the backend asks for the upload.
    pub(in crate::upstream) fn ask(&self) {
        self.settle(WAITING, MET);
    }

    /// `true` if the client was or will be asked for the upload.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.state() == MET
    }

    /// Records the backend's response. Returns `true` if it has come before the upload was asked for.
    ///
    /// After a success the backend may still read on, though it has not asked; after anything else it will not.
    pub(in crate::upstream) fn answered(&self, status: StatusCode) -> bool {
        let is_early = !self.is_met();
        if !status.is_success() {
            self.settle(WAITING, REFUSED);
        }
        is_early
    }

    fn settle(&self, from: u8, to: u8) {
        let order = Ordering::Relaxed;
        let _ = self.0.compare_exchange(from, to, order, order);
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Holds an upload back until its backend asks for it. Opens at once if the upload was announced to no backend.
#[derive(Debug)]
pub(super) struct ContinueGate {
    expect_continue: ExpectContinue,
    /// Starts when the upload could be sent.
    patience: Option<Pin<Box<Sleep>>>,
}

impl ContinueGate {
    pub(super) fn new() -> Self {
        Self {
            expect_continue: ExpectContinue(Arc::new(AtomicU8::new(UNTOLD))),
            patience: None,
        }
    }

    pub(super) fn expect_continue(&self) -> &ExpectContinue {
        &self.expect_continue
    }

    /// Ready once the upload is to be read. Must be polled again after each message of the backend.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let expect_continue = &self.expect_continue;
        expect_continue.settle(UNTOLD, MET);
        if expect_continue.state() == WAITING {
            let new = || Box::pin(sleep(PATIENCE));
            ready!(self.patience.get_or_insert_with(new).as_mut().poll(cx));
            expect_continue.settle(WAITING, MET);
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

    fn is_open(gate: &mut ContinueGate) -> bool {
        poll_fn(|cx| gate.poll_open(cx)).now_or_never().is_some()
    }

    /// A gate before an upload that a backend was told of.
    fn announced() -> (ContinueGate, ExpectContinue) {
        let gate = ContinueGate::new();
        let expect_continue = gate.expect_continue().clone();
        expect_continue.settle(UNTOLD, WAITING);
        (gate, expect_continue)
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_opens_at_the_backends_word_or_after_its_silence() {
        assert!(
            is_open(&mut ContinueGate::new()),
            "nobody was told of the upload"
        );

        let (mut gate, expect_continue) = announced();
        assert!(!is_open(&mut gate));
        expect_continue.settle(WAITING, MET);
        assert!(is_open(&mut gate));

        let (mut gate, expect_continue) = announced();
        let start = Instant::now();
        poll_fn(|cx| gate.poll_open(cx)).await;
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(expect_continue.is_met());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_the_gate_stays_shut() {
        let (mut gate, expect_continue) = announced();
        assert!(expect_continue.answered(StatusCode::PAYLOAD_TOO_LARGE));
        tokio::time::advance(2 * PATIENCE).await;
        assert!(!is_open(&mut gate) && !expect_continue.is_met());
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_before_its_time_leaves_the_gate_to_the_clock() {
        let (mut gate, expect_continue) = announced();
        assert!(expect_continue.answered(StatusCode::OK));
        assert!(!is_open(&mut gate));
        tokio::time::advance(2 * PATIENCE).await;
        assert!(is_open(&mut gate));
        assert!(
            !expect_continue.answered(StatusCode::OK),
            "it was asked for"
        );
    }
}
