//! The bodies that pass through, one for each direction. Both break when their sender breaks; neither ever ends early
//! and clean.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::address::Address;
use super::backend::{InFlight, Lane};
use super::connection::Lease;
use super::error::BodyError;
use super::expectation::{Expectation, Gate};
use super::stall::Stall;
use crate::tasks::{Shutdown, Tasks};

/// How long an abandoned upload is still read, so that the client sees the answer before its connection is reset.
const LINGER: Duration = Duration::from_secs(30);
/// How long such an upload may pause.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// A client's request body on its way to a backend.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Upload>);

#[derive(Debug)]
struct Upload {
    incoming: Option<Incoming>,
    is_http2: bool,
    /// Before a body that its sender has not begun, and sends when it is asked to.
    gate: Option<Box<Gate>>,
    /// How many bytes may still come, where they are bounded.
    room: Option<u64>,
    stall: Stall,
    pulse: Pulse,
    tasks: Tasks,
}

impl RequestBody {
    /// A body without a byte.
    #[must_use]
    pub fn empty() -> Self {
        Self(None)
    }

    /// The body of a request that came in over HTTP/2 (`is_http2`) or HTTP/1.1, which may pause for `timeout`.
    ///
    /// An HTTP/1.1 body that is dropped before its end is read on for a while by one of `tasks`.
    #[must_use]
    pub fn new(incoming: Incoming, is_http2: bool, timeout: Duration, tasks: &Tasks) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        Self(Some(Upload {
            incoming: Some(incoming),
            is_http2,
            gate: None,
            room: None,
            stall: Stall::new(timeout),
            pulse: Pulse::new(),
            tasks: tasks.clone(),
        }))
    }

    /// Whether there is no body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Leaves the body alone until a backend asks for it: its sender waits for `100 Continue` and has sent nothing.
    pub fn wait_to_be_asked(&mut self) {
        if let Some(upload) = &mut self.0 {
            upload.gate = Some(Box::new(Gate::new()));
        }
    }

    /// What becomes of the body, where it waits to be asked for.
    #[must_use]
    pub fn expectation(&self) -> Option<&Expectation> {
        let gate = self.0.as_ref()?.gate.as_ref()?;
        Some(gate.expectation())
    }

    /// Breaks the body when more than `limit` bytes come. The lowest limit holds.
    pub fn limit(&mut self, limit: u64) {
        if let Some(upload) = &mut self.0 {
            upload.room = Some(upload.room.map_or(limit, |room| room.min(limit)));
        }
    }

    pub(super) fn pulse(&self) -> Option<Pulse> {
        self.0.as_ref().map(|upload| upload.pulse.clone())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Some(upload) => upload.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|upload| upload.incoming.as_ref().is_some_and(Body::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_ref().and_then(|upload| upload.incoming.as_ref()) {
            Some(incoming) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Upload {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.poll_open(cx));
            self.gate = None;
        }
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.stall.moved();
                self.pulse.beat();
                if let Some(room) = &mut self.room {
                    let len = frame.data_ref().map_or(0, Bytes::len) as u64;
                    // What is too much is read on by whoever drops this, so that the client sees its answer.
                    *room = match room.checked_sub(len) {
                        Some(room) => room,
                        None => return Poll::Ready(Some(Err(BodyError::TooLarge))),
                    };
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.incoming = None;
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
            // A stream reset with NO_ERROR reads like an end, which an upload without a length must not be taken for.
            Poll::Ready(None) if self.is_http2 && !incoming.is_end_stream() => {
                self.incoming = None;
                Poll::Ready(Some(Err(BodyError::Stopped)))
            }
            Poll::Ready(None) => {
                self.incoming = None;
                self.pulse.beat();
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.pulse.pause();
                ready!(self.stall.poll_stalled(cx));
                self.incoming = None;
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && !self.is_http2
            && self.gate.is_none()
            && !incoming.is_end_stream()
        {
            self.tasks.spawn(linger(incoming, self.tasks.shutdown()));
        }
    }
}

async fn linger(mut incoming: Incoming, shutdown: Shutdown) {
    let read_on =
        async { while let Ok(Some(Ok(_))) = timeout(LINGER_PAUSE, incoming.frame()).await {} };
    tokio::select! {
        () = read_on => {}
        () = tokio::time::sleep(LINGER) => {}
        () = shutdown.requested() => {}
    }
}

/// When an upload last moved, and whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    start: Instant,
    beat: Arc<AtomicU64>,
}

/// The upload waits for its client.
const PAUSED: u64 = u64::MAX;

impl Pulse {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            beat: Arc::new(AtomicU64::new(0)),
        }
    }

    fn beat(&self) {
        let millis = self.start.elapsed().as_millis();
        self.beat
            .store(u64::try_from(millis).unwrap_or(0), Ordering::Relaxed);
    }

    fn pause(&self) {
        self.beat.store(PAUSED, Ordering::Relaxed);
    }

    /// Since when the backend is the one to move.
    pub(super) fn last(&self) -> Instant {
        match self.beat.load(Ordering::Relaxed) {
            PAUSED => Instant::now(),
            millis => self.start + Duration::from_millis(millis),
        }
    }
}

/// A backend's response body on its way to the client. Keeps the backend counted as busy until it ends.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    lease: Option<Lease>,
    /// The backend of a body that was over at once.
    lane: Option<Arc<Lane>>,
    is_begun: bool,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        Self {
            incoming,
            lease: Some(lease),
            lane: None,
            is_begun: false,
        }
    }

    pub(super) fn ended(incoming: Incoming, lane: Arc<Lane>) -> Self {
        Self {
            incoming,
            lease: None,
            lane: Some(lane),
            is_begun: true,
        }
    }

    /// Who sends it. `None` once the body has come to its end.
    #[must_use]
    pub fn backend(&self) -> Option<&Address> {
        let lease = self.lease.as_ref().map(Lease::address);
        lease.or_else(|| self.lane.as_ref().map(|lane| lane.address()))
    }

    /// What keeps the backend counted as busy, for a tunnel that outlives the response which opened it. `None` after the
    /// body's end.
    #[must_use]
    pub fn into_in_flight(self) -> Option<InFlight> {
        self.lease.map(Lease::into_tunnel)
    }

    /// What the connection brings next. Only its driver brings anything, and this body is who drives it.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let unheard = &mut Context::from_waker(Waker::noop());
        if let Some(lease) = self.lease.as_mut().filter(|_| !self.is_begun) {
            // Or else the driver would be woken by being told that the body is wanted.
            lease.connection().drive_unheard();
            self.is_begun = true;
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(unheard) {
            return Poll::Ready(frame);
        }
        if let Some(lease) = &mut self.lease {
            lease.connection().drive(cx);
        }
        Pin::new(&mut self.incoming).poll_frame(unheard)
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.next(cx));
        match frame {
            Some(Ok(frame)) => {
                if self.incoming.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.lease = None;
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
            None => {
                self.release();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
