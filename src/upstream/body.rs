//! The bodies that pass through, one for each direction. Both break when their sender breaks; neither ever ends early
//! and clean.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::address::Address;
use super::backend::{InFlight, Lane};
use super::client_body::ClientBody;
use super::connection::ConnectionLease;
use super::error::BodyError;
use super::expectation::{Expectation, Gate};
use super::http2::{Stream, StreamLease};
use super::interim::Interims;
use super::lease::Lease;
use super::pulse::{Pulse, UploadFailure};
use super::stall::Stall;
use super::trailers;
use crate::tasks::{Shutdown, Tasks};

/// How long an abandoned upload is still read, so that the client sees the answer before its connection is reset.
const LINGER: Duration = Duration::from_secs(30);
/// How long such an upload may pause.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// A client's request body on its way to a backend.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Box<Upload>>);

#[derive(Debug)]
struct Upload {
    incoming: Option<ClientBody>,
    /// Before a body that its sender has not begun, and sends when it is asked to.
    gate: Option<Box<Gate>>,
    /// Where the backend's interim responses go.
    interims: Option<Interims>,
    /// How many bytes may still come, where they are bounded.
    room: Option<u64>,
    stall: Stall,
    pulse: Pulse,
    /// What its trailers may not name.
    own_fields: Vec<Arc<[HeaderName]>>,
    /// What it is sent on, where others share the connection.
    stream: Option<Arc<Stream>>,
    tasks: Tasks,
}

impl RequestBody {
    /// A body without a byte.
    #[must_use]
    pub fn empty() -> Self {
        Self(None)
    }

    /// The body of a client's request, which may pause for `timeout`.
    ///
    /// A body that is dropped before its end is read on for a while by one of `tasks`.
    #[must_use]
    pub fn new(incoming: ClientBody, timeout: Duration, tasks: &Tasks) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        Self(Some(Box::new(Upload {
            incoming: Some(incoming),
            gate: None,
            interims: None,
            room: None,
            stall: Stall::new(timeout),
            pulse: Pulse::new(),
            own_fields: Vec::new(),
            stream: None,
            tasks: tasks.clone(),
        })))
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

    /// Leaves word where the backend's interim responses go.
    pub(super) fn tell(&mut self, interims: &Interims) {
        if let Some(upload) = &mut self.0 {
            upload.interims = Some(interims.clone());
        }
    }

    /// Where the backend's interim responses go, if that is known.
    pub(super) fn interims(&self) -> Option<&Interims> {
        self.0.as_ref()?.interims.as_ref()
    }

    /// Breaks the body when more than `limit` bytes come. The lowest limit holds.
    pub fn limit(&mut self, limit: u64) {
        if let Some(upload) = &mut self.0 {
            upload.room = Some(upload.room.map_or(limit, |room| room.min(limit)));
        }
    }

    /// Keeps fields of these names too, which only the proxy sets in the head, out of the trailers.
    pub fn keep_out(&mut self, names: &Arc<[HeaderName]>) {
        if let Some(upload) = &mut self.0 {
            upload.own_fields.push(Arc::clone(names));
        }
    }

    pub(super) fn own_fields(&self) -> &[Arc<[HeaderName]>] {
        self.0.as_ref().map_or(&[], |upload| &upload.own_fields)
    }

    /// Keeps a stream counted for as long as the body is under way, which may be longer than its response.
    pub(super) fn occupy(&mut self, stream: Option<&Arc<Stream>>) {
        if let Some(upload) = &mut self.0 {
            upload.stream = stream.cloned();
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
            if let Some(interims) = &self.interims {
                interims.proceed();
            }
        }
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    trailers::clean_claims(trailers, &self.own_fields);
                }
                self.stall.moved();
                self.pulse.beat();
                if let Some(room) = &mut self.room {
                    let len = frame.data_ref().map_or(0, Bytes::len) as u64;
                    // What is too much is read on by whoever drops this, so that the client sees its answer.
                    let Some(left) = room.checked_sub(len) else {
                        self.pulse.fail(UploadFailure::TooLarge);
                        return Poll::Ready(Some(Err(BodyError::TooLarge)));
                    };
                    *room = left;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.incoming = None;
                self.pulse.fail(UploadFailure::Broken);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.incoming = None;
                self.pulse.beat();
                Poll::Ready(None)
            }
            Poll::Pending => {
                if !self.pulse.is_answered() {
                    self.pulse.pause();
                }
                ready!(self.stall.poll_stalled(cx));
                while self.pulse.is_answered() {
                    // It may pause, and is looked at again later: the response may be over then.
                    self.stall.moved();
                    ready!(self.stall.poll_stalled(cx));
                }
                self.incoming = None;
                self.pulse.fail(UploadFailure::Stalled);
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && self.gate.is_none()
            && !incoming.is_end_stream()
        {
            self.tasks.spawn(linger(incoming, self.tasks.shutdown()));
        }
    }
}

async fn linger(mut incoming: ClientBody, shutdown: Shutdown) {
    let read_on =
        async { while let Ok(Some(Ok(_))) = timeout(LINGER_PAUSE, incoming.frame()).await {} };
    tokio::select! {
        () = read_on => {}
        () = tokio::time::sleep(LINGER) => {}
        () = shutdown.requested() => {}
    }
}

/// A backend's response body on its way to the client. Keeps the backend counted as busy until it ends.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    origin: Origin,
    is_begun: bool,
}

/// Where a response is from.
#[derive(Debug)]
enum Origin {
    /// A connection that brings the rest of it.
    Open(Lease),
    /// The backend of a body that was over at once.
    Ended(Arc<Lane>),
    /// A connection that is gone, like the body.
    Gone,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, lease: ConnectionLease) -> Self {
        Self {
            incoming,
            origin: Origin::Open(Lease::Connection(lease)),
            is_begun: false,
        }
    }

    /// A body that comes on a stream of a shared connection.
    pub(super) fn stream(incoming: Incoming, lease: StreamLease) -> Self {
        Self {
            incoming,
            origin: Origin::Open(Lease::Stream(lease)),
            is_begun: true,
        }
    }

    pub(super) fn ended(incoming: Incoming, lane: Arc<Lane>) -> Self {
        Self {
            incoming,
            origin: Origin::Ended(lane),
            is_begun: true,
        }
    }

    /// Who sends it. `None` once the body has come to its end.
    #[must_use]
    pub fn backend(&self) -> Option<&Address> {
        match &self.origin {
            Origin::Open(lease) => Some(lease.address()),
            Origin::Ended(lane) => Some(lane.address()),
            Origin::Gone => None,
        }
    }

    /// What keeps the backend counted as busy, for a tunnel that outlives the response which opened it. `None` after the
    /// body's end.
    #[must_use]
    pub fn into_in_flight(self) -> Option<InFlight> {
        match self.origin {
            Origin::Open(Lease::Connection(lease)) => Some(lease.into_tunnel()),
            Origin::Open(Lease::Stream(_)) | Origin::Ended(_) | Origin::Gone => None,
        }
    }

    /// What the connection brings next. Only its driver brings anything, and this body is who drives it, unless others
    /// share the connection.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut lease = match &mut self.origin {
            Origin::Open(Lease::Connection(lease)) => Some(lease),
            Origin::Open(Lease::Stream(_)) => return Pin::new(&mut self.incoming).poll_frame(cx),
            Origin::Ended(_) | Origin::Gone => None,
        };
        let unheard = &mut Context::from_waker(Waker::noop());
        if let Some(lease) = lease.as_mut().filter(|_| !self.is_begun) {
            // Or else the driver would be woken by being told that the body is wanted.
            lease.connection().drive_unheard();
            self.is_begun = true;
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(unheard) {
            return Poll::Ready(frame);
        }
        if let Some(lease) = lease {
            lease.connection().drive(cx);
        }
        Pin::new(&mut self.incoming).poll_frame(unheard)
    }

    fn release(&mut self) {
        let origin = std::mem::replace(&mut self.origin, Origin::Gone);
        if let Origin::Open(Lease::Connection(lease)) = origin {
            lease.release();
        }
    }

    /// Whether a stream ended without its sender's word for it: a reset may read like an end.
    fn is_cut(&self) -> bool {
        matches!(self.origin, Origin::Open(Lease::Stream(_))) && !self.incoming.is_end_stream()
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
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    trailers::clean(trailers);
                }
                if self.incoming.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.origin = Origin::Gone;
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
            None if self.is_cut() => {
                self.origin = Origin::Gone;
                Poll::Ready(Some(Err(BodyError::Stopped)))
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
