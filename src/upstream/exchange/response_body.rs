//! Response body on its way from a backend to the client. If the backend fails, the body fails too; it never just ends
//! early.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::lease::{Http1Lease, Http2Lease, Lease};
use crate::per_worker::CachePadded;
use crate::upstream::address::Address;
use crate::upstream::backend::{HeldConnection, InFlight, Lane};
use crate::upstream::body::clean_trailers;
use crate::upstream::error::BodyError;

/// Response body on its way from a backend to the client. The backend counts the request until the body ends.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    source: Source,
    is_begun: bool,
}

/// Source of a response body.
#[derive(Debug)]
enum Source {
    /// A connection from which the rest of the body arrives.
    Open(Lease),
    /// No connection, because the body is empty. Only the backend is still known.
    Ended(Arc<CachePadded<Lane>>),
    /// No connection, because the body has ended or failed.
    Gone,
}

impl ResponseBody {
    /// A body on an HTTP/1.1 connection.
    pub(in crate::upstream) fn http1(incoming: Incoming, lease: Http1Lease) -> Self {
        Self {
            incoming,
            source: Source::Open(Lease::Http1(lease)),
            is_begun: false,
        }
    }

    /// A body on a stream of an HTTP/2 connection.
    pub(in crate::upstream) fn http2(incoming: Incoming, lease: Http2Lease) -> Self {
        Self {
            incoming,
            source: Source::Open(Lease::Http2(lease)),
            is_begun: true,
        }
    }

    /// An empty body.
    pub(in crate::upstream) fn ended(incoming: Incoming, lane: Arc<CachePadded<Lane>>) -> Self {
        Self {
            incoming,
            source: Source::Ended(lane),
            is_begun: true,
        }
    }

    /// Address of the backend that sends the body; `None` after the end of the body.
    #[must_use]
    pub fn backend(&self) -> Option<&Address> {
        match &self.source {
            Source::Open(lease) => Some(lease.address()),
            Source::Ended(lane) => Some(lane.address()),
            Source::Gone => None,
        }
    }

    /// Counts the connection for the client of the request, until the body has ended.
    pub(in crate::upstream) fn hold(&mut self, held: Option<HeldConnection>) {
        if let Source::Open(lease) = &mut self.source {
            lease.hold(held);
        }
    }

    /// Turns a response that switches protocols into a tunnel, which the backend counts until the returned value is
    /// dropped. Returns `None` if the body has ended, or if the connection is HTTP/2.
    #[must_use]
    pub fn into_in_flight(self) -> Option<InFlight> {
        match self.source {
            Source::Open(Lease::Http1(lease)) => Some(lease.into_tunnel()),
            Source::Open(Lease::Http2(_)) | Source::Ended(_) | Source::Gone => None,
        }
    }

    /// Polls for the next frame. On an HTTP/1.1 connection, this also drives the connection, since nobody else does.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut lease = match &mut self.source {
            Source::Open(Lease::Http1(lease)) => Some(lease),
            Source::Open(Lease::Http2(_)) => return Pin::new(&mut self.incoming).poll_frame(cx),
            Source::Ended(_) | Source::Gone => None,
        };
        let no_waker = &mut Context::from_waker(Waker::noop());
        if let Some(lease) = lease.as_mut().filter(|_| !self.is_begun) {
            // Replaces the waker that the driver holds. Otherwise the first poll of the body would wake this task for
            // nothing.
            lease.connection().drive_without_waker();
            self.is_begun = true;
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(no_waker) {
            return Poll::Ready(frame);
        }
        if let Some(lease) = lease {
            lease.connection().drive(cx);
        }
        Pin::new(&mut self.incoming).poll_frame(no_waker)
    }

    fn release(&mut self) {
        let source = std::mem::replace(&mut self.source, Source::Gone);
        if let Source::Open(Lease::Http1(lease)) = source {
            lease.release();
        }
    }

    /// `true` if a stream ended before the end of the message. Needed because hyper reports some resets like an end.
    fn is_cut(&self) -> bool {
        matches!(self.source, Source::Open(Lease::Http2(_))) && !self.incoming.is_end_stream()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.next(cx));
        match frame {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    clean_trailers(trailers);
                }
                if self.incoming.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.source = Source::Gone;
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
            None if self.is_cut() => {
                self.source = Source::Gone;
                Poll::Ready(Some(Err(BodyError::Stopped)))
            }
            None => {
                self.release();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
