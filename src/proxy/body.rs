//! The body of what the client gets.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::access_log::Entry;
use super::compression::{Compressed, Encoder};
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
    Compressed(Box<Compressed<Self>>),
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

    /// The same as it comes out of `encoder`.
    pub(super) fn encoded(self, encoder: Encoder) -> Self {
        let body = Compressed::new(self.kind, encoder);
        Kind::Compressed(Box::new(body)).into()
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

impl http_body::Body for Kind {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.set(Self::Empty);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Compressed(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Compressed(body) => body.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Compressed(_) => SizeHint::default(),
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
        let frame = ready!(Pin::new(&mut self.kind).poll_frame(cx));
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
