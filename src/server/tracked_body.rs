//! A response body that tells the connection's activity: whether the client takes what is sent, and
//! when the response is over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::activity::Activity;

pin_project! {
    #[derive(Debug)]
    pub(super) struct TrackedBody<B> {
        #[pin]
        inner: B,
        request: RequestMark,
    }
}

/// One request that is under way, from its head to the end of its response's body.
#[derive(Debug)]
pub(super) struct RequestMark {
    activity: Arc<Activity>,
    has_untaken: bool,
}

impl RequestMark {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        activity.request_began();
        Self {
            activity,
            has_untaken: false,
        }
    }

    fn taken(&mut self) {
        if std::mem::take(&mut self.has_untaken) {
            self.activity.piece_taken();
        }
    }
}

impl Drop for RequestMark {
    fn drop(&mut self) {
        self.taken();
        self.activity.request_ended();
    }
}

impl<B> TrackedBody<B> {
    pub(super) fn new(inner: B, request: RequestMark) -> Self {
        Self { inner, request }
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
        this.request.taken();
        let frame = ready!(this.inner.poll_frame(cx));
        if matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            this.request.has_untaken = true;
            this.request.activity.piece_handed();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
