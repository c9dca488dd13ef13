//! A response body that records for the deadlines of its connection when chunks wait for the client, and when the request is
//! over. If it breaks off, the client gets all that came before the break.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::deadlines::Deadlines;

pin_project! {
    #[derive(Debug)]
    pub(in crate::server) struct TrackedBody<B: Body> {
        #[pin]
        inner: B,
        // The error that ended the body, until the connection is told.
        error: Option<B::Error>,
        request: RequestMark,
    }
}

/// A request in flight, from its head to the end of its response's body.
#[derive(Debug)]
pub(in crate::server) struct RequestMark {
    deadlines: Arc<Deadlines>,
    has_pending: bool,
}

impl RequestMark {
    pub(in crate::server) fn new(deadlines: Arc<Deadlines>) -> Self {
        deadlines.request_began();
        Self {
            deadlines,
            has_pending: false,
        }
    }

    fn chunk_done(&mut self) {
        if std::mem::take(&mut self.has_pending) {
            self.deadlines.chunk_done();
        }
    }
}

impl Drop for RequestMark {
    fn drop(&mut self) {
        self.chunk_done();
        self.deadlines.request_ended();
    }
}

impl<B: Body> TrackedBody<B> {
    pub(in crate::server) fn new(inner: B, request: RequestMark) -> Self {
        Self {
            inner,
            error: None,
            request,
        }
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.request.chunk_done();
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(Err(error)) = frame {
            // The connection drops what it has not written when it hears of the error, be it the head. Before, it gets a
            // turn to write.
            *this.error = Some(error);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            this.request.has_pending = true;
            this.request.deadlines.chunk_queued();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
