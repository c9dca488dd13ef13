//! Body of a request that arrives on a connection.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use parking_lot::Mutex;
use tokio::io::AsyncRead;

use super::incoming_body::{Handover, IncomingBody, Wish};
use super::request_meaning::RequestFraming;
use super::request_parser::HeadLimits;
use crate::http1::body_decoder::BodyDecoder;
use crate::http1::chunk_decoder::{ChunkDecoder, Part};
use crate::http1::error::Error;
use crate::http1::read_buffer::ReadBuffer;

/// Interim response that asks the client for the body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Position in the body of a request.
#[derive(Debug, Default)]
pub(super) enum Receiving {
    /// The whole request has arrived.
    #[default]
    Over,
    Body(ReceivedBody),
    /// The body broke off, or is not read to its end. Nothing more can be read.
    Broken,
}

/// Body that is still arriving.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    decoder: BodyDecoder,
    handover: Arc<Mutex<Handover>>,
    /// `true` if the client waits to be asked for the body.
    is_continue_due: bool,
}

impl Receiving {
    /// Begins the body of a request with this framing. Returns it for the service.
    pub(super) fn begin(
        &mut self,
        framing: RequestFraming,
        expects_continue: bool,
        limits: HeadLimits,
        received: &mut ReadBuffer,
        cx: &Context<'_>,
    ) -> IncomingBody {
        let (decoder, length) = match framing {
            RequestFraming::Length(0) => {
                *self = Self::Over;
                return IncomingBody::empty();
            }
            RequestFraming::Unknown => {
                *self = Self::Broken;
                return IncomingBody::failed(Error::UnknownCoding);
            }
            RequestFraming::Length(length) => {
                let missing = length.saturating_sub(received.bytes.len() as u64);
                received.expect(missing);
                (BodyDecoder::Length(length), Some(length))
            }
            RequestFraming::Chunked => {
                let decoder = ChunkDecoder::with_trailer_fields(limits.fields);
                (BodyDecoder::Chunked(decoder), None)
            }
        };
        let (body, handover) = IncomingBody::new(length, cx.waker());
        let mut arriving = ReceivedBody {
            decoder,
            handover,
            is_continue_due: expects_continue,
        };
        let mut end = None;
        // What has arrived with the head is handed over at once.
        if !expects_continue && let Poll::Ready(part) = arriving.decode(received) {
            end = arriving.hand_over(part, received, cx).end;
        }
        *self = end.unwrap_or(Self::Body(arriving));
        body
    }

    /// `true` while the body arrives.
    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Body(_))
    }

    /// `true` if the rest of the body cannot be read.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken)
    }

    /// Notices that nobody reads the body any more.
    pub(super) fn notice_drop(&mut self, received: &mut ReadBuffer, cx: &Context<'_>) {
        if let Self::Body(body) = self
            && body.handover.lock().wish(cx.waker()) == Wish::Dropped
        {
            *self = body.abandon(received);
        }
    }

    /// Reads what the reader of the body wants. Returns `true` if the reader is in this task, and must be polled again, or if
    /// something was appended to `out`, which is given while the response has not begun.
    pub(super) fn feed<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        received: &mut ReadBuffer,
        out: Option<&mut Vec<u8>>,
        cx: &mut Context<'_>,
    ) -> bool {
        let Self::Body(body) = self else {
            return false;
        };
        let wish = body.handover.lock().wish(cx.waker());
        match wish {
            Wish::Nothing => return false,
            Wish::Dropped => {
                *self = body.abandon(received);
                return false;
            }
            Wish::Part => {}
        }
        if std::mem::take(&mut body.is_continue_due)
            && let Some(out) = out
        {
            out.extend_from_slice(CONTINUE);
            return true;
        }
        let Poll::Ready(part) = body.poll_part(stream, received, cx) else {
            return false;
        };
        let HandedOver { end, is_here } = body.hand_over(part, received, cx);
        if let Some(end) = end {
            *self = end;
        }
        is_here
    }
}

/// Part of a body; `None` if the body has ended.
type BodyPart = Option<Result<Frame<Bytes>, Error>>;

/// Outcome of handing a part over.
struct HandedOver {
    /// State that follows, if it was the last part.
    end: Option<Receiving>,
    /// `true` if the reader is in this task.
    is_here: bool,
}

impl ReceivedBody {
    /// Takes the next part out of what has arrived.
    fn decode(&mut self, received: &mut ReadBuffer) -> Poll<BodyPart> {
        Poll::Ready(match self.decoder.decode(&mut received.bytes) {
            Ok(Part::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Part::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Part::End) => None,
            Ok(Part::Missing) => return Poll::Pending,
            Err(error) => Some(Err(error)),
        })
    }

    /// Reads until there is a part.
    fn poll_part<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        received: &mut ReadBuffer,
        cx: &mut Context<'_>,
    ) -> Poll<BodyPart> {
        loop {
            if let Poll::Ready(part) = self.decode(received) {
                return Poll::Ready(part);
            }
            let error = match ready!(received.poll_fill(stream, cx)) {
                Ok(0) => Error::CutBody,
                Ok(_) => continue,
                Err(error) => Error::Io(error),
            };
            return Poll::Ready(Some(Err(error)));
        }
    }

    fn hand_over(
        &mut self,
        part: BodyPart,
        received: &mut ReadBuffer,
        cx: &Context<'_>,
    ) -> HandedOver {
        let end = if matches!(part, Some(Err(_))) {
            Some(Receiving::Broken)
        } else if self.decoder.is_over() {
            received.shrink();
            Some(Receiving::Over)
        } else {
            None
        };
        let mut handover = self.handover.lock();
        HandedOver {
            is_here: handover.put(part, end.is_some(), cx.waker()),
            end,
        }
    }

    /// Skips the rest of a body that nobody reads, if it has arrived already. Otherwise nothing more is read.
    fn abandon(&mut self, received: &mut ReadBuffer) -> Receiving {
        loop {
            match self.decode(received) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None) => return Receiving::Over,
                Poll::Ready(Some(Err(_))) | Poll::Pending => return Receiving::Broken,
            }
        }
    }
}
