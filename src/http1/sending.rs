//! Message on its way to the peer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body;
use tokio::io::AsyncWrite;

use super::encoded_body::{BodyEncoder, EncodedBody};
use super::error::ExchangeError;
use super::field_case::FieldCase;
use super::request_head::{RequestFraming, announced_trailers, write_head};
use super::write_queue::WriteQueue;

/// Message on its way to the peer. `B` is its body.
pub(super) struct Sending<B> {
    field_case: FieldCase,
    queue: WriteQueue,
    /// Body of the message, while it is not at its end.
    body: Option<EncodedBody<B>>,
    /// `true` if written bytes may still be in the byte stream's own buffer.
    is_unflushed: bool,
    /// Error of the last write.
    error: Option<io::Error>,
}

impl<B> Sending<B> {
    pub(super) fn new(field_case: FieldCase) -> Self {
        Self {
            field_case,
            queue: WriteQueue::default(),
            body: None,
            is_unflushed: false,
            error: None,
        }
    }

    /// `true` if all of the message is sent, or nothing more of it can be sent.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_none() && self.queue.is_empty() && !self.is_unflushed
    }

    /// `true` if a write has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Takes the error of a write that has failed.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Buffer to which a head is appended, which the next write sends.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.queue.buffer()
    }

    /// Drops what is not sent yet.
    pub(super) fn stop(&mut self) {
        self.body = None;
        self.queue.clear();
        self.is_unflushed = false;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Sending<B> {
    /// Takes the body that follows the head.
    pub(super) fn set_body(&mut self, body: B, encoder: BodyEncoder) {
        self.body = Some(EncodedBody::new(body, encoder));
    }

    /// Takes a request, whose head the next write sends. Returns the emptied map of its fields.
    pub(super) fn start(&mut self, request: Request<B>) -> HeaderMap {
        let framing = RequestFraming::of(&request);
        write_head(&request, framing, self.field_case, self.queue.buffer());
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        if !body.is_end_stream() {
            let encoder = match framing {
                RequestFraming::None => BodyEncoder::Length(0),
                RequestFraming::Length(length) => BodyEncoder::Length(length),
                RequestFraming::Chunked => BodyEncoder::Chunked {
                    trailers: announced_trailers(&headers),
                    case: self.field_case,
                },
            };
            self.set_body(body, encoder);
        }
        headers.clear();
        headers
    }

    /// Sends as much of the message as possible. Ready when all of it is sent, or when a write has failed. A response may
    /// then still arrive: it may even be the reason.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ExchangeError<B::Error>>> {
        while !self.is_over() {
            let is_waiting = self.fill_queue(cx)?;
            if let Err(error) = ready!(self.poll_flush(stream, cx)) {
                self.stop();
                self.error = Some(error);
            } else if is_waiting {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Moves frames of the body into the queue while it has room. Returns `true` if the body has no frame now.
    fn fill_queue(&mut self, cx: &mut Context<'_>) -> Result<bool, ExchangeError<B::Error>> {
        while self.queue.has_room()
            && let Some(body) = &mut self.body
        {
            match body.poll_encode(&mut self.queue, cx)? {
                Poll::Ready(true) => self.body = None,
                Poll::Ready(false) => {}
                Poll::Pending => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Writes the queue, and flushes the byte stream after a write.
    fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.queue.is_empty() {
            self.is_unflushed = true;
            ready!(self.queue.poll_write(stream, cx))?;
        }
        if self.is_unflushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
