//! The body of what the client gets.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::files::FileBody;
use crate::upstream::{BodyError, ResponseBody};

/// Nothing, a page of our own, a file, or what a backend sends.
#[derive(Debug, Default)]
pub struct Body(Kind);

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    File(FileBody),
    Upstream(ResponseBody),
    Bounded(Box<Bounded>),
}

/// What a backend sends, for as long as it may take.
#[derive(Debug)]
struct Bounded {
    body: ResponseBody,
    deadline: Pin<Box<Sleep>>,
}

impl Body {
    /// A body without a byte.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body of these bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(bytes.into()))
    }

    /// A file, or a part of one.
    pub(super) fn file(body: FileBody) -> Self {
        Self(Kind::File(body))
    }

    /// What a backend sends. It may pause for as long as it likes: events and long polls do.
    pub(super) fn upstream(body: ResponseBody) -> Self {
        match http_body::Body::is_end_stream(&body) {
            true => Self(Kind::Empty),
            false => Self(Kind::Upstream(body)),
        }
    }

    /// The same body, broken off at `deadline` where a backend still sends then.
    pub(super) fn until(self, deadline: Instant) -> Self {
        match self.0 {
            Kind::Upstream(body) => Self(Kind::Bounded(Box::new(Bounded {
                body,
                deadline: Box::pin(sleep_until(deadline)),
            }))),
            kind => Self(kind),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Kind::File(body) => Pin::new(body).poll_frame(cx),
            Kind::Upstream(body) => Pin::new(body).poll_frame(cx),
            Kind::Bounded(bounded) => match bounded.deadline.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Overdue))),
                Poll::Pending => Pin::new(&mut bounded.body).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::File(body) => body.is_end_stream(),
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Bounded(bounded) => bounded.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::File(body) => body.size_hint(),
            Kind::Upstream(body) => body.size_hint(),
            Kind::Bounded(bounded) => bounded.body.size_hint(),
        }
    }
}
