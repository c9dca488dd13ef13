//! A client that sends its upload only when it is told to (RFC 9110 section 10.1.1): its backend is the one to tell.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::EXPECT;
use http::{HeaderValue, Request, StatusCode};
use tokio::time::{Sleep, sleep};

use super::body::RequestBody;

/// How long a backend may keep silent before it gets the upload unasked: not every server knows of `Expect`.
const PATIENCE: Duration = Duration::from_secs(1);

const UNTOLD: u8 = 0;
const WAITING: u8 = 1;
const MET: u8 = 2;
const REFUSED: u8 = 3;

/// What has become of an upload that waits to be asked for. Clones tell of the same one.
#[derive(Clone, Debug)]
pub struct Expectation(Arc<AtomicU8>);

impl Expectation {
    /// Announces the request's upload to a backend of HTTP/1.1, if its client waits to be asked for it.
    pub(super) fn announce(request: &mut Request<RequestBody>) -> Option<Self> {
        let expectation = request.body().expectation()?.clone();
        expectation.settle(UNTOLD, WAITING);
        let fields = request.headers_mut();
        fields.insert(EXPECT, HeaderValue::from_static("100-continue"));
        let (told, interims) = (expectation.clone(), request.body().interims().cloned());
        hyper::ext::on_informational(request, move |interim| {
            if interim.status() == StatusCode::CONTINUE {
                told.settle(WAITING, MET);
            } else if let Some(interims) = &interims {
                interims.note(interim.status(), interim.headers());
            }
        });
        Some(expectation)
    }

    /// Whether the client was or will be asked for the upload.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.state() == MET
    }

    /// Notes the backend's answer. Returns whether that has come before the upload was asked for.
    ///
    /// After a success the backend may still read on, though it has not asked; after anything else it will not.
    pub(super) fn answered(&self, status: StatusCode) -> bool {
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

/// Stands before an upload until its backend asks for it. It opens at once to whoever reads without having announced the
/// upload to a backend.
#[derive(Debug)]
pub(super) struct Gate {
    expectation: Expectation,
    /// Runs from the moment on in which the upload could be sent.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            expectation: Expectation(Arc::new(AtomicU8::new(UNTOLD))),
            patience: None,
        }
    }

    pub(super) fn expectation(&self) -> &Expectation {
        &self.expectation
    }

    /// Is ready once the upload is to be read. It is polled whenever the backend has said something.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let expectation = &self.expectation;
        expectation.settle(UNTOLD, MET);
        if expectation.state() == WAITING {
            let new = || Box::pin(sleep(PATIENCE));
            ready!(self.patience.get_or_insert_with(new).as_mut().poll(cx));
            expectation.settle(WAITING, MET);
        }
        match expectation.is_met() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;

    fn is_open(gate: &mut Gate) -> bool {
        poll_fn(|cx| gate.poll_open(cx)).now_or_never().is_some()
    }

    /// A gate before an upload that a backend was told of.
    fn announced() -> (Gate, Expectation) {
        let gate = Gate::new();
        let expectation = gate.expectation().clone();
        expectation.settle(UNTOLD, WAITING);
        (gate, expectation)
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_opens_at_the_backends_word_or_after_its_silence() {
        assert!(is_open(&mut Gate::new()), "nobody was told of the upload");

        let (mut gate, expectation) = announced();
        assert!(!is_open(&mut gate));
        expectation.settle(WAITING, MET);
        assert!(is_open(&mut gate));

        let (mut gate, expectation) = announced();
        let start = Instant::now();
        poll_fn(|cx| gate.poll_open(cx)).await;
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(expectation.is_met());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_the_gate_stays_shut() {
        let (mut gate, expectation) = announced();
        assert!(expectation.answered(StatusCode::PAYLOAD_TOO_LARGE));
        tokio::time::advance(2 * PATIENCE).await;
        assert!(!is_open(&mut gate) && !expectation.is_met());
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_before_its_time_leaves_the_gate_to_the_clock() {
        let (mut gate, expectation) = announced();
        assert!(expectation.answered(StatusCode::OK));
        assert!(!is_open(&mut gate));
        tokio::time::advance(2 * PATIENCE).await;
        assert!(is_open(&mut gate));
        assert!(!expectation.answered(StatusCode::OK), "it was asked for");
    }
}
