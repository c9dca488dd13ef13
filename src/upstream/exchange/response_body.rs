//! Response body on its way from a backend to the client. If the backend fails, the body fails too; it never just ends
//! early.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};

use super::lease::{Http1Lease, Http2Lease};
use crate::http1::ExchangeError;
use crate::per_worker::CachePadded;
use crate::upstream::address::Address;
use crate::upstream::backend::{InFlight, Lane};
use crate::upstream::body::clean_trailers;
use crate::upstream::error::BodyError;

/// Response body on its way from a backend to the client. The backend counts the request until the body ends.
#[derive(Debug)]
pub struct ResponseBody(Source);

/// Source of a response body.
#[derive(Debug)]
enum Source {
    /// An HTTP/1.1 connection from which the rest of the body arrives.
    Http1(Http1Lease),
    /// A stream of an HTTP/2 connection from which the rest of the body arrives.
    Http2(Http2Source),
    /// A body whose first frame was taken out and put back.
    Begun(Box<Begun>),
    /// No connection, because the body is empty. Only the backend is still known.
    Empty(Arc<CachePadded<Lane>>),
    /// No connection, because the body has ended.
    Ended,
    /// No connection, because the body has failed.
    Broken,
}

#[derive(Debug)]
struct Http2Source {
    incoming: Incoming,
    lease: Http2Lease,
}

type BodyFrame = Result<Frame<Bytes>, BodyError>;

#[derive(Debug)]
struct Begun {
    first: Option<BodyFrame>,
    rest: ResponseBody,
    backend: Address,
}

impl ResponseBody {
    /// A body on an HTTP/1.1 connection.
    pub(super) fn http1(lease: Http1Lease) -> Self {
        Self(Source::Http1(lease))
    }

    /// A body on a stream of an HTTP/2 connection.
    pub(super) fn http2(incoming: Incoming, lease: Http2Lease) -> Self {
        Self(Source::Http2(Http2Source { incoming, lease }))
    }

    /// An empty body.
    pub(super) fn ended(lane: Arc<CachePadded<Lane>>) -> Self {
        Self(Source::Empty(lane))
    }

    /// Puts the first frame back, before the rest of the body. `None` stands for the end.
    pub(super) fn begun(self, first: Option<BodyFrame>, backend: Address) -> Self {
        Self(Source::Begun(Box::new(Begun {
            first,
            rest: self,
            backend,
        })))
    }

    /// Address of the backend that sends the body; `None` after the end of the body.
    #[must_use]
    pub fn backend(&self) -> Option<&Address> {
        match &self.0 {
            Source::Http1(lease) => Some(lease.in_flight().address()),
            Source::Http2(source) => Some(source.lease.in_flight().address()),
            Source::Begun(begun) => Some(&begun.backend),
            Source::Empty(lane) => Some(lane.address()),
            Source::Ended | Source::Broken => None,
        }
    }

    /// Turns a response that switches protocols into the byte stream of a tunnel. `None` for any other response. The backend
    /// counts the request until the second value is dropped.
    #[must_use]
    pub fn into_tunnel(
        self,
    ) -> Option<(
        impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        InFlight,
    )> {
        match self.0 {
            Source::Http1(lease) => lease.into_tunnel(),
            _ => None,
        }
    }

    /// Gives the connection back after the end of the body.
    fn end(&mut self) {
        let source = std::mem::replace(&mut self.0, Source::Ended);
        if let Source::Http1(lease) = source {
            lease.release();
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<BodyFrame>> {
        match &mut self.0 {
            Source::Http1(lease) => {
                let frame = ready!(lease.connection().http_mut().poll_frame(cx));
                Poll::Ready(frame.map(|frame| {
                    frame.map_err(|error| match error {
                        ExchangeError::Connection(error) => BodyError::Response(error),
                        ExchangeError::Upload(error) => error,
                    })
                }))
            }
            Source::Http2(Http2Source { incoming, .. }) => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                Poll::Ready(match frame {
                    // hyper reports some resets like an end.
                    None if !incoming.is_end_stream() => Some(Err(BodyError::Stopped)),
                    frame => frame.map(|frame| frame.map_err(BodyError::Broken)),
                })
            }
            Source::Begun(begun) => match begun.first.take() {
                Some(first) => Poll::Ready(Some(first)),
                None => Pin::new(&mut begun.rest).poll_frame(cx),
            },
            Source::Empty(_) | Source::Ended | Source::Broken => Poll::Ready(None),
        }
    }
}

impl Begun {
    fn size_hint(&self) -> SizeHint {
        let data = self
            .first
            .as_ref()
            .and_then(|first| first.as_ref().ok()?.data_ref());
        let taken = data.map_or(0, |data| data.len() as u64);
        let mut hint = self.rest.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + taken);
        }
        hint.set_lower(hint.lower() + taken);
        hint
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = ready!(self.poll_next(cx));
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    clean_trailers(trailers);
                }
                if self.is_end_stream() {
                    self.end();
                }
            }
            Some(Err(_)) => self.0 = Source::Broken,
            None if matches!(self.0, Source::Broken) => {}
            None => self.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(lease) => lease.http().is_received(),
            Source::Http2(source) => source.incoming.is_end_stream(),
            Source::Begun(begun) => begun.first.is_none() && begun.rest.is_end_stream(),
            Source::Empty(_) | Source::Ended => true,
            Source::Broken => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(lease) => lease.http().size_hint(),
            Source::Http2(source) => source.incoming.size_hint(),
            Source::Begun(begun) => begun.size_hint(),
            Source::Empty(_) | Source::Ended => SizeHint::with_exact(0),
            Source::Broken => SizeHint::default(),
        }
    }
}
