//! The body of a request, as it arrives on its stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request};
use http_body::{Body, Frame, SizeHint};

use super::quic_streams::{QuicRecvStream, StreamEnd};
use super::windows::WindowedTransfer;
use crate::proxy::{BodyError, BoxedBody, ClientBody};

/// The receiving half of a request's stream.
pub(super) type RequestReceiver = RequestStream<QuicRecvStream, Bytes>;

/// Reasons why a body ends early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// RFC 9114 section 4.1.2.
    #[error("the body does not have the length that Content-Length declares")]
    Length,
}

/// The body of one request.
struct RequestBody {
    receiver: RequestReceiver,
    begin: Begin,
    /// Remaining bytes of the declared length, if there is one.
    left: Option<u64>,
    end: StreamEnd,
    upload: Option<WindowedTransfer>,
}

/// The part of a body that was read to find out whether there is one.
#[derive(Debug, Default)]
struct Begin {
    data: Option<Bytes>,
    /// `true` if all data was read.
    has_ended: bool,
    trailers: Option<HeaderMap>,
    is_over: bool,
}

/// Returns the body of a request. HTTP/3 does not say in the head whether there is a body. Where one is unusual,
/// the end of the stream is awaited, so that a backend does not get an empty body for a request without one.
pub(super) async fn request_body(
    mut receiver: RequestReceiver,
    request: &Request<()>,
    end: StreamEnd,
    upload: Option<WindowedTransfer>,
) -> Result<ClientBody, StreamError> {
    let left = declared_length(request.headers());
    let is_usual = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::CONNECT
    );
    let begin = if is_usual || left.is_some_and(|length| length > 0) {
        let polled = poll_fn(|cx| Poll::Ready(poll_begin(&mut receiver, cx)));
        match polled.await {
            Poll::Ready(begin) => begin?,
            Poll::Pending => Begin::default(),
        }
    } else {
        poll_fn(|cx| poll_begin(&mut receiver, cx)).await?
    };
    if begin.is_over && left.is_none_or(|length| length == 0) {
        return Ok(ClientBody::Empty);
    }
    Ok(ClientBody::Stream(BoxedBody::new(RequestBody {
        receiver,
        begin,
        left,
        end,
        upload,
    })))
}

/// Reads the first bytes of a body, or its end.
fn poll_begin(
    receiver: &mut RequestReceiver,
    cx: &mut Context<'_>,
) -> Poll<Result<Begin, StreamError>> {
    if let Some(data) = ready!(poll_data(receiver, cx))? {
        return Poll::Ready(Ok(Begin {
            data: Some(data),
            ..Begin::default()
        }));
    }
    let trailers = ready!(receiver.poll_recv_trailers(cx))?;
    Poll::Ready(Ok(Begin {
        data: None,
        has_ended: true,
        is_over: trailers.is_none(),
        trailers,
    }))
}

fn poll_data(
    receiver: &mut RequestReceiver,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, StreamError>> {
    let data = ready!(receiver.poll_recv_data(cx))?;
    Poll::Ready(Ok(data.map(|mut data| data.copy_to_bytes(data.remaining()))))
}

/// Returns the length in a head. A head with several different ones is refused later.
fn declared_length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl RequestBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        if self.begin.is_over {
            return Poll::Ready(self.check_end().map(|()| None));
        }
        if !self.begin.has_ended {
            let data = match self.begin.data.take() {
                Some(data) => Some(data),
                None => ready!(poll_data(&mut self.receiver, cx))?,
            };
            if let Some(data) = data {
                return Poll::Ready(self.count(&data).map(|()| Some(Frame::data(data))));
            }
            self.begin.has_ended = true;
            self.upload = None;
        }
        let trailers = match self.begin.trailers.take() {
            Some(trailers) => Some(trailers),
            None => ready!(self.receiver.poll_recv_trailers(cx))?,
        };
        self.check_end()?;
        self.begin.is_over = true;
        Poll::Ready(Ok(trailers.map(Frame::trailers)))
    }

    fn count(&mut self, data: &Bytes) -> Result<(), Error> {
        if let Some(upload) = &mut self.upload {
            upload.record(data.len());
        }
        let Some(left) = &mut self.left else {
            return Ok(());
        };
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        *left = left.checked_sub(length).ok_or_else(|| {
            self.end.set_code(Code::H3_MESSAGE_ERROR);
            Error::Length
        })?;
        Ok(())
    }

    fn check_end(&self) -> Result<(), Error> {
        if self.left.is_none_or(|left| left == 0) {
            return Ok(());
        }
        self.end.set_code(Code::H3_MESSAGE_ERROR);
        Err(Error::Length)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.poll(cx));
        let frame = frame.map_err(|error| BodyError::Client(Box::new(error)));
        Poll::Ready(frame.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.begin.is_over && self.left.is_none_or(|left| left == 0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}
