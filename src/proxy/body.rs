//! The body of what the client gets.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::access_log::Entry;
use crate::upstream::{BodyError, ResponseBody};

/// Nothing, a page of our own, or what a backend sends.
#[derive(Debug, Default)]
pub struct Body {
    kind: Kind,
    entry: Option<Box<Entry>>,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Upstream(ResponseBody),
}

impl Body {
    /// A body without a byte.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of these bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Kind::Full(bytes.into()).into()
    }

    /// What a backend sends. It may pause for as long as it likes: events and long polls do.
    pub(super) fn upstream(body: ResponseBody) -> Self {
        match http_body::Body::is_end_stream(&body) {
            true => Self::empty(),
            false => Kind::Upstream(body).into(),
        }
    }

    /// Has the record of the request end with the body.
    pub(super) fn log(&mut self, entry: Option<Box<Entry>>) {
        self.entry = entry;
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind, entry: None }
    }
}

impl Kind {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Upstream(body) => http_body::Body::poll_frame(Pin::new(body), cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream(body) => http_body::Body::is_end_stream(body),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => http_body::Body::size_hint(body),
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
        let frame = ready!(self.kind.poll_frame(cx));
        let this = &mut *self;
        if let Some(entry) = &mut this.entry {
            entry.passed(frame.as_ref(), this.kind.is_end_stream());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.kind.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.kind.size_hint()
    }
}
