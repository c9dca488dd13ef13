//! Request body as it arrives from the client.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};

use super::buffered_body::BufferedBody;
use crate::http1::{self, IncomingBody};
use crate::memory::Transfer;
use crate::upstream::error::BodyError;

/// Request body from a client.
#[derive(Debug)]
pub enum ClientBody {
    /// No body.
    Empty,
    /// Body on an HTTP/1.1 connection.
    Http1(Http1Body),
    /// Body on an HTTP/2 stream.
    Http2(StreamBody),
    /// Body on a stream of another protocol.
    Stream(BoxedBody),
    /// Body that has been read to its end.
    Buffered(BufferedBody),
}

impl ClientBody {
    /// `true` if the client might lose the response when the rest of the body is not read. Other protocols ask it to stop, and
    /// its stream goes on in the other direction.
    pub(super) fn must_linger(&self) -> bool {
        match self {
            Self::Empty | Self::Stream(_) | Self::Buffered(_) => false,
            Self::Http1(_) | Self::Http2(_) => !self.is_end_stream(),
        }
    }
}

/// Request body on an HTTP/1.1 connection. Records how many of its bytes are still to be read: after its end, the client may
/// close its sending side.
#[derive(Debug)]
pub struct Http1Body {
    incoming: IncomingBody,
    left: Arc<AtomicU64>,
}

/// Request body on a stream that this room does not know.
pub struct BoxedBody(Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send + Sync>>);

impl BoxedBody {
    /// Takes a body of any type.
    #[must_use]
    pub fn new(body: impl Body<Data = Bytes, Error = BodyError> + Send + Sync + 'static) -> Self {
        Self(Box::pin(body))
    }
}

impl fmt::Debug for BoxedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedBody").finish_non_exhaustive()
    }
}

/// Request body on an HTTP/2 stream. Each read releases its bytes to the flow-control window.
#[derive(Debug)]
pub struct StreamBody {
    stream: RecvStream,
    /// Remaining bytes of the declared length, if there is one.
    left: Option<u64>,
    has_data: bool,
    is_over: bool,
    upload: Option<Transfer>,
}

impl From<Http1Body> for ClientBody {
    fn from(body: Http1Body) -> Self {
        Self::Http1(body)
    }
}

impl From<StreamBody> for ClientBody {
    fn from(body: StreamBody) -> Self {
        Self::Http2(body)
    }
}

impl Http1Body {
    /// Recorded while the body has not ended and its length is unknown.
    pub const UNKNOWN: u64 = u64::MAX;

    /// Creates a body that records in `left` how many of its bytes are still to be read: 0 after its end.
    #[must_use]
    pub fn new(incoming: IncomingBody, left: Arc<AtomicU64>) -> Self {
        let body = Self { incoming, left };
        body.record(false);
        body
    }

    fn record(&self, has_ended: bool) {
        let left = if has_ended || self.incoming.is_end_stream() {
            0
        } else {
            self.incoming.size_hint().exact().unwrap_or(Self::UNKNOWN)
        };
        self.left.store(left, Ordering::Relaxed);
    }
}

impl Body for Http1Body {
    type Data = Bytes;
    type Error = http1::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, http1::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        self.record(frame.is_none());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Http1Body {
    /// A body that is given up no longer says where it ends.
    fn drop(&mut self) {
        if self.left.load(Ordering::Relaxed) > 0 {
            self.left.store(Self::UNKNOWN, Ordering::Relaxed);
        }
    }
}

impl StreamBody {
    /// The body of a request with these header fields. The h2 library checks its length against `Content-Length`.
    #[must_use]
    pub fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        let length = headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let is_over = stream.is_end_stream();
        Self {
            stream,
            left: length,
            has_data: !is_over,
            is_over,
            upload: None,
        }
    }

    /// Records in `upload` how much is read, until the body has ended.
    #[must_use]
    pub fn recording(self, upload: Option<Transfer>) -> Self {
        Self { upload, ..self }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(data) = ready!(self.stream.poll_data(cx)?) else {
            self.has_data = false;
            self.upload = None;
            return Poll::Ready(None);
        };
        if let Some(upload) = &mut self.upload {
            upload.record(data.len());
        }
        self.stream.flow_control().release_capacity(data.len())?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(data.len() as u64);
        }
        Poll::Ready(Some(Ok(data)))
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.has_data
            && let Some(data) = ready!(self.poll_data(cx)?)
        {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(self.stream.poll_trailers(cx)?);
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Request)))
            }
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
            Self::Stream(body) => body.0.as_mut().poll_frame(cx),
            Self::Buffered(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Stream(body) => body.0.is_end_stream(),
            Self::Buffered(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Stream(body) => body.0.size_hint(),
            Self::Buffered(body) => body.size_hint(),
        }
    }
}
