//! Request body on its way from the client to a backend. If the client fails, the body fails too; it never just ends
//! early.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::TRAILER;
use http::{HeaderName, HeaderValue, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::buffered_body::BufferedBody;
use super::client_body::ClientBody;
use super::expect_continue::{ContinueWait, ExpectContinue};
use super::interim::Interims;
use super::progress_timeout::ProgressTimeout;
use super::trailers::{announced_trailers, clean_client_trailers};
use super::upload_progress::{UploadFailure, UploadProgress};
use crate::figures::RequestFigures;
use crate::per_worker::CachePadded;
use crate::tasks::{Shutdown, Tasks};
use crate::upstream::error::BodyError;

/// Time for which an abandoned upload is still read, so that the client sees the response before its connection is
/// reset.
const LINGER: Duration = Duration::from_secs(30);
/// Maximum pause of such an upload.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// Counts a stream of a shared connection until it is dropped. Opaque, because the body must not know connections.
pub(in crate::upstream) type UploadGuard = Arc<dyn Any + Send + Sync>;

/// Request body on its way from the client to a backend.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Box<Upload>>);

#[derive(Debug)]
struct Upload {
    incoming: Option<ClientBody>,
    /// Set while the client waits to be asked for the body.
    wait: Option<Box<ContinueWait>>,
    /// Receives the interim responses for the client.
    interims: Option<Interims>,
    /// Number of bytes that may still arrive, if the body has a limit.
    room: Option<u64>,
    progress_timeout: ProgressTimeout,
    progress: UploadProgress,
    /// Names of fields that only the proxy may set, so that trailers must not contain them.
    own_fields: Vec<Arc<[HeaderName]>>,
    /// Held until the body is dropped.
    guard: Option<UploadGuard>,
    /// Counts the bytes that arrive.
    figures: Option<Arc<CachePadded<RequestFigures>>>,
    tasks: Tasks,
}

impl RequestBody {
    /// An empty body.
    #[must_use]
    pub fn empty() -> Self {
        Self(None)
    }

    /// The body of a client's request, which may pause for at most `timeout`.
    ///
    /// If the body is dropped before its end, a task reads and discards the rest for a while.
    #[must_use]
    pub fn new(incoming: ClientBody, timeout: Duration, tasks: &Tasks) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        Self(Some(Box::new(Upload {
            incoming: Some(incoming),
            wait: None,
            interims: None,
            room: None,
            progress_timeout: ProgressTimeout::new(timeout),
            progress: UploadProgress::new(),
            own_fields: Vec::new(),
            guard: None,
            figures: None,
            tasks: tasks.clone(),
        })))
    }

    /// `true` if the request has no body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Copies a request; `None` if it has a body, which cannot be read twice.
    pub(in crate::upstream) fn copy_if_empty(request: &Request<Self>) -> Option<Request<Self>> {
        if !request.body().is_empty() {
            return None;
        }
        let mut copy = Request::new(Self::empty());
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(request.headers());
        Some(copy)
    }

    /// Leaves the body unread until a backend asks for it. Must be called if the client waits for `100 Continue`.
    pub fn wait_for_continue(&mut self) {
        if let Some(upload) = &mut self.0 {
            upload.wait = Some(Box::new(ContinueWait::new()));
        }
    }

    /// State of `Expect: 100-continue`, if the client still waits to be asked for the body.
    #[must_use]
    pub fn expect_continue(&self) -> Option<&ExpectContinue> {
        let wait = self.0.as_ref()?.wait.as_ref()?;
        Some(wait.expect_continue())
    }

    /// Counts the bytes of the body that arrive.
    pub fn count_in(&mut self, figures: &Arc<CachePadded<RequestFigures>>) {
        if let Some(upload) = &mut self.0 {
            upload.figures = Some(Arc::clone(figures));
        }
    }

    /// Sets the receiver of interim responses.
    pub(in crate::upstream) fn set_interims(&mut self, interims: &Interims) {
        if let Some(upload) = &mut self.0 {
            upload.interims = Some(interims.clone());
        }
    }

    /// Replaces the body with the same one, read to its end. It has no trailers.
    pub(in crate::upstream) fn replace(&mut self, buffered: BufferedBody) {
        if buffered.is_empty() {
            self.0 = None;
        } else if let Some(upload) = &mut self.0 {
            upload.incoming = Some(ClientBody::Buffered(buffered));
            // Its bytes were counted when they arrived.
            upload.figures = None;
            upload.progress = UploadProgress::new();
        }
    }

    /// Makes the body fail with [`BodyError::TooLarge`] when it exceeds `limit` bytes. Of several limits, the lowest
    /// applies.
    pub fn limit(&mut self, limit: u64) {
        if let Some(upload) = &mut self.0 {
            upload.room = Some(upload.room.map_or(limit, |room| room.min(limit)));
        }
    }

    /// Removes fields with these names from the trailers, because only the proxy may set them.
    pub fn forbid_trailers(&mut self, names: &Arc<[HeaderName]>) {
        if let Some(upload) = &mut self.0 {
            upload.own_fields.push(Arc::clone(names));
        }
    }

    fn own_fields(&self) -> &[Arc<[HeaderName]>] {
        self.0.as_ref().map_or(&[], |upload| &upload.own_fields)
    }

    /// Removes from the `Trailer` field of the head the names of fields that the trailers will not have.
    pub fn announce_trailers(request: &mut Request<Self>) {
        let names = announced_trailers(request.headers(), request.body().own_fields());
        match HeaderValue::try_from(names) {
            Ok(names) if !names.is_empty() => drop(request.headers_mut().insert(TRAILER, names)),
            _ => drop(request.headers_mut().remove(TRAILER)),
        }
    }

    /// Holds `guard` until the body is dropped, which may be after the end of the response.
    pub(in crate::upstream) fn hold(&mut self, guard: Option<UploadGuard>) {
        if let Some(upload) = &mut self.0 {
            upload.guard = guard;
        }
    }

    pub(in crate::upstream) fn progress(&self) -> Option<UploadProgress> {
        self.0.as_ref().map(|upload| upload.progress.clone())
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
        if let Some(wait) = &mut self.wait {
            ready!(wait.poll_over(cx));
            self.wait = None;
            if let Some(interims) = &self.interims {
                interims.send_continue();
            }
        }
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    clean_client_trailers(trailers, &self.own_fields);
                }
                self.progress_timeout.reset();
                self.progress.record_frame();
                let len = frame.data_ref().map_or(0, Bytes::len);
                if let Some(figures) = &self.figures {
                    figures.received(len);
                }
                if let Some(room) = &mut self.room {
                    let len = len as u64;
                    // `Drop` reads the rest, so that the client sees the response.
                    let Some(left) = room.checked_sub(len) else {
                        self.progress.fail(UploadFailure::TooLarge);
                        return Poll::Ready(Some(Err(BodyError::TooLarge)));
                    };
                    *room = left;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.incoming = None;
                self.progress.fail(UploadFailure::Broken);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.incoming = None;
                self.progress.record_frame();
                Poll::Ready(None)
            }
            Poll::Pending => {
                if !self.progress.is_answered() {
                    self.progress.pause();
                }
                ready!(self.progress_timeout.poll_elapsed(cx));
                while self.progress.is_answered() {
                    // During a response the upload may pause without limit, so wait again.
                    self.progress_timeout.reset();
                    ready!(self.progress_timeout.poll_elapsed(cx));
                }
                self.incoming = None;
                self.progress.fail(UploadFailure::Stalled);
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && self.wait.is_none()
            && incoming.must_linger()
        {
            self.tasks.spawn(linger(incoming, self.tasks.shutdown()));
        }
    }
}

/// Reads and discards the rest of an abandoned upload, within [`LINGER`] and [`LINGER_PAUSE`].
async fn linger(mut incoming: ClientBody, shutdown: Shutdown) {
    let discard =
        async { while let Ok(Some(Ok(_))) = timeout(LINGER_PAUSE, incoming.frame()).await {} };
    tokio::select! {
        () = discard => {}
        () = tokio::time::sleep(LINGER) => {}
        () = shutdown.requested() => {}
    }
}
