//! All that only a connection in use needs: what has arrived, and what is still to be sent.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;

use super::error::ServerError;
use super::on_upgrade::ByteStream;
use super::receiving::Receiving;
use super::request_parser::RequestParser;
use super::response_encoder::AskedResponse;
use crate::http1::error::ExchangeError;
use crate::http1::field_case::FieldCase;
use crate::http1::read_buffer::ReadBuffer;
use crate::http1::sending::Sending;
use crate::http1::upgraded::Upgraded;

/// All that only a connection in use needs. `B` is the body of responses.
pub(super) struct Work<B> {
    pub(super) received: ReadBuffer,
    pub(super) parser: RequestParser,
    /// Empty map, whose memory the next request uses.
    pub(super) spare: HeaderMap,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending<B>,
    pub(super) asked: AskedResponse,
    pub(super) upgrade: Option<oneshot::Sender<Upgraded<Box<dyn ByteStream>>>>,
}

/// Outcome of a step, when the body of the response is `B`.
pub(super) type Outcome<T, B> = Result<T, ServerError<<B as Body>::Error>>;

impl<B: Body<Data = Bytes> + Unpin> Work<B> {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            received: ReadBuffer::new(),
            parser: RequestParser::default(),
            spare: HeaderMap::new(),
            receiving: Receiving::Over,
            sending: Sending::new(FieldCase::Lower),
            asked: AskedResponse::unknown(),
            upgrade: None,
        })
    }

    /// `true` if no byte of a request has arrived. Empty lines before a request are ignored (RFC 9112 section 2.2).
    pub(super) fn is_between_requests(&self) -> bool {
        let mut bytes = self.received.bytes.iter();
        bytes.all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Sends as much as possible. Pending while something is left.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<(), B>> {
        let sent = ready!(self.sending.poll(stream, cx));
        Poll::Ready(match (sent, self.sending.take_error()) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(error)) => Err(ServerError::Io(error)),
            (Err(ExchangeError::Upload(error)), _) => Err(ServerError::Body(error)),
            (Err(ExchangeError::Connection(error)), _) => Err(ServerError::Response(error)),
        })
    }
}
