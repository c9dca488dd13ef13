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

const WAITING: u8 = 0;
const MET: u8 = 1;
const REFUSED: u8 = 2;

/// A mark on a response whose backend has never asked for the upload that was announced to it: the client is not told to
/// send it either, so that its connection has no next request.
#[derive(Clone, Copy, Debug)]
pub struct UploadNotAsked;

/// What a backend has said of an upload that was announced to it.
#[derive(Clone, Debug)]
pub(super) struct Expectation(Arc<AtomicU8>);

impl Expectation {
    /// Announces the request's upload to a backend of HTTP/1.1, if its client waits to be asked for it.
    pub(super) fn announce(request: &mut Request<RequestBody>) -> Option<Self> {
        let expectation = request.body_mut().announce()?;
        let fields = request.headers_mut();
        fields.insert(EXPECT, HeaderValue::from_static("100-continue"));
        let told = expectation.clone();
        hyper::ext::on_informational(request, move |interim| {
            if interim.status() == StatusCode::CONTINUE {
                told.settle(MET);
            }
        });
        Some(expectation)
    }

    /// Notes the backend's answer. Returns whether that has come before the upload was asked for.
    ///
    /// After a success the backend may still read on, though it has not asked; after anything else it will not.
    pub(super) fn answered(&self, status: StatusCode) -> bool {
        let is_early = self.is(WAITING);
        if is_early && !status.is_success() {
            self.settle(REFUSED);
        }
        is_early
    }

    fn settle(&self, state: u8) {
        let (order, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.0.compare_exchange(WAITING, state, order, failure);
    }

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Relaxed) == state
    }
}

/// Stands before an upload until its backend asks for it.
#[derive(Debug, Default)]
pub(super) struct Gate(Option<Announced>);

#[derive(Debug)]
struct Announced {
    expectation: Expectation,
    /// Runs from the moment on in which the upload could be sent.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Gate {
    /// Lets the word of a backend open the gate. Without one it opens to whoever comes.
    pub(super) fn announce(&mut self) -> Expectation {
        let expectation = Expectation(Arc::new(AtomicU8::new(WAITING)));
        self.0 = Some(Announced {
            expectation: expectation.clone(),
            patience: None,
        });
        expectation
    }

    /// Is ready once the upload is to be read. It is polled whenever the backend has said something.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(announced) = &mut self.0 else {
            return Poll::Ready(());
        };
        let expectation = &announced.expectation;
        if expectation.is(WAITING) {
            let patience = announced
                .patience
                .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            ready!(patience.as_mut().poll(cx));
            expectation.settle(MET);
        }
        match expectation.is(MET) {
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

    #[tokio::test(start_paused = true)]
    async fn a_gate_opens_at_the_backends_word_or_after_its_silence() {
        let mut gate = Gate::default();
        assert!(is_open(&mut gate), "nobody was told of the upload");

        let expectation = gate.announce();
        assert!(!is_open(&mut gate));
        expectation.settle(MET);
        assert!(is_open(&mut gate));

        gate.announce();
        let start = Instant::now();
        poll_fn(|cx| gate.poll_open(cx)).await;
        assert_eq!(start.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_the_gate_stays_shut() {
        let mut gate = Gate::default();
        let expectation = gate.announce();
        assert!(expectation.answered(StatusCode::PAYLOAD_TOO_LARGE));
        tokio::time::advance(2 * PATIENCE).await;
        assert!(!is_open(&mut gate));
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_before_its_time_leaves_the_gate_to_the_clock() {
        let mut gate = Gate::default();
        let expectation = gate.announce();
        assert!(expectation.answered(StatusCode::OK));
        assert!(!is_open(&mut gate));
        tokio::time::advance(2 * PATIENCE).await;
        assert!(is_open(&mut gate));
        assert!(!expectation.answered(StatusCode::OK), "it was asked for");
    }
}
