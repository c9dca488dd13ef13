//! Request on its way to a server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body;
use tokio::io::AsyncWrite;

use super::error::ExchangeError;
use super::field_case::FieldCase;
use super::request_head::{RequestFraming, announced_trailers, write_head};
use super::upload::{Upload, UploadEncoder};
use super::write_queue::WriteQueue;

/// Request on its way to a server. `B` is its body.
pub(super) struct Sending<B> {
    field_case: FieldCase,
    queue: WriteQueue,
    /// Body of the request, while it is not at its end.
    upload: Option<Upload<B>>,
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
            upload: None,
            is_unflushed: false,
            error: None,
        }
    }

    /// `true` if all of the request is sent, or nothing more of it can be sent.
    pub(super) fn is_over(&self) -> bool {
        self.upload.is_none() && self.queue.is_empty() && !self.is_unflushed
    }

    /// `true` if a write has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Takes the error of a write that has failed.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Drops what is not sent yet.
    pub(super) fn stop(&mut self) {
        self.upload = None;
        self.queue.clear();
        self.is_unflushed = false;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Sending<B> {
    /// Takes a request, whose head the next write sends. Returns the emptied map of its fields.
    pub(super) fn start(&mut self, request: Request<B>) -> HeaderMap {
        let framing = RequestFraming::of(&request);
        write_head(&request, framing, self.field_case, self.queue.buffer());
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        if !body.is_end_stream() {
            let encoder = match framing {
                RequestFraming::None => UploadEncoder::Length(0),
                RequestFraming::Length(length) => UploadEncoder::Length(length),
                RequestFraming::Chunked => UploadEncoder::Chunked {
                    trailers: announced_trailers(&headers),
                    case: self.field_case,
                },
            };
            self.upload = Some(Upload::new(body, encoder));
        }
        headers.clear();
        headers
    }

    /// Sends as much of the request as possible. Ready when all of it is sent, or when a write has failed. The response
    /// may then still arrive: it may even be the reason.
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

    /// Moves frames of the upload into the queue while it has room. Returns `true` if the upload has no frame now.
    fn fill_queue(&mut self, cx: &mut Context<'_>) -> Result<bool, ExchangeError<B::Error>> {
        while self.queue.has_room()
            && let Some(upload) = &mut self.upload
        {
            match upload.poll_encode(&mut self.queue, cx)? {
                Poll::Ready(true) => self.upload = None,
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
