//! The one body type of responses to clients.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::file_body::FileBody;
use crate::figures::CountedRequest;
use crate::proxy::access_log::LogEntry;
use crate::proxy::compression::{Compressed, Encoder};
use crate::upstream::{BodyError, ResponseBody};

/// Body of a response: empty, bytes in memory, a file, or the body of a backend's response.
#[derive(Debug, Default)]
pub struct Body {
    kind: Kind,
    entry: Option<Box<LogEntry>>,
    counted: Option<CountedRequest>,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    File(FileBody),
    Upstream(ResponseBody),
    Bounded(Box<Bounded>),
    Compressed(Box<Compressed<Self>>),
}

/// A backend's body that breaks off at a deadline.
#[derive(Debug)]
struct Bounded {
    body: ResponseBody,
    deadline: Pin<Box<Sleep>>,
}

impl Body {
    /// Creates an empty body.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Creates a body of these bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Kind::Full(bytes.into()).into()
    }

    /// Creates a body of a file or a part of one.
    pub(crate) fn file(body: FileBody) -> Self {
        Kind::File(body).into()
    }

    /// Creates a body of a backend's. It may pause without limit, since event streams and long polls do.
    pub(crate) fn upstream(body: ResponseBody) -> Self {
        if http_body::Body::is_end_stream(&body) {
            Self::empty()
        } else {
            Kind::Upstream(body).into()
        }
    }

    /// Breaks the body off at `deadline` if a backend still sends it then.
    pub(crate) fn until(self, deadline: Instant) -> Self {
        match self.kind {
            Kind::Upstream(body) => Kind::Bounded(Box::new(Bounded {
                body,
                deadline: Box::pin(sleep_until(deadline)),
            }))
            .into(),
            kind => kind.into(),
        }
    }

    /// Compresses the body with `encoder`.
    pub(crate) fn encoded(self, encoder: Encoder) -> Self {
        let body = Compressed::new(self.kind, encoder);
        Kind::Compressed(Box::new(body)).into()
    }

    /// Attaches the request's access log entry, which is written when the body is dropped.
    pub(crate) fn log(&mut self, entry: Option<Box<LogEntry>>) {
        self.entry = entry;
    }

    /// Attaches the figures of the request, which ends with the body at the latest.
    pub fn count(&mut self, counted: Option<CountedRequest>) {
        self.counted = counted;
    }

    /// Takes the figures of the request. Whoever sends the body ends it with its duration.
    pub fn take_counted(&mut self) -> Option<CountedRequest> {
        self.counted.take()
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
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
            Self::File(body) => Pin::new(body).poll_frame(cx),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Bounded(bounded) => match bounded.deadline.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Overdue))),
                Poll::Pending => Pin::new(&mut bounded.body).poll_frame(cx),
            },
            Self::Compressed(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::File(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Bounded(bounded) => bounded.body.is_end_stream(),
            Self::Compressed(body) => body.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::File(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::Bounded(bounded) => bounded.body.size_hint(),
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
