//! A response body that records for the deadlines of its connection when chunks wait for the client, and when the request is
//! over. If it breaks off, the client gets all that came before the break.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::deadlines::Deadlines;
use crate::figures::CountedRequest;

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
    began: u64,
    /// Its figures, once its site has answered.
    counted: Option<CountedRequest>,
}

impl RequestMark {
    pub(in crate::server) fn new(deadlines: Arc<Deadlines>) -> Self {
        Self {
            began: deadlines.request_began(),
            deadlines,
            has_pending: false,
            counted: None,
        }
    }

    /// Counts the response in these figures.
    pub(in crate::server) fn counting(mut self, counted: Option<CountedRequest>) -> Self {
        self.counted = counted;
        self
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
        let ended = self.deadlines.request_ended();
        if let Some(counted) = self.counted.take() {
            let ended = ended.unwrap_or_else(|| self.deadlines.now());
            counted.end(ended.saturating_sub(self.began));
        }
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
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.request.has_pending = true;
            this.request.deadlines.chunk_queued();
            if let Some(counted) = &this.request.counted {
                counted.figures().sent(data.remaining());
            }
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
