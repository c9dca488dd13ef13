//! Body of a message on its way to the peer.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HOST, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName};
use http_body::Body;

use super::error::{Error, ExchangeError};
use super::field_case::FieldCase;
use super::request_head::write_field;
use super::write_queue::WriteQueue;

/// Fields that frame, route or describe a message, for which trailers are too late (RFC 9110 section 6.5.1).
const FORBIDDEN: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];

/// Body of a message on its way to the peer. Its end is written only if the body has ended as its framing says.
#[derive(Debug)]
pub(super) struct EncodedBody<B> {
    body: B,
    encoder: BodyEncoder,
}

/// Framing of the body, with what is still to come.
#[derive(Debug)]
pub(super) enum BodyEncoder {
    /// This number of bytes.
    Length(u64),
    /// Chunks, and then trailers with these names.
    Chunked {
        trailers: Vec<HeaderName>,
        case: FieldCase,
    },
    /// All that comes until the connection is closed.
    UntilClose,
}

impl<B: Body<Data = Bytes> + Unpin> EncodedBody<B> {
    pub(super) fn new(body: B, encoder: BodyEncoder) -> Self {
        Self { body, encoder }
    }

    /// Appends the next frame of the body to `queue`. Returns `true` after the last one.
    pub(super) fn poll_encode(
        &mut self,
        queue: &mut WriteQueue,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, ExchangeError<B::Error>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(ExchangeError::Upload(error))),
            Poll::Ready(None) => {
                self.encoder.end(None, queue)?;
                return Poll::Ready(Ok(true));
            }
            // All bytes are there, so nothing needs to wait until the body says so.
            Poll::Pending if self.encoder.is_complete() => return Poll::Ready(Ok(true)),
            Poll::Pending => return Poll::Pending,
        };
        let frame = match frame.into_data() {
            Ok(data) => {
                self.encoder.push(data, queue)?;
                let is_last = self.body.is_end_stream();
                if is_last {
                    self.encoder.end(None, queue)?;
                }
                return Poll::Ready(Ok(is_last));
            }
            Err(frame) => frame,
        };
        if let Ok(trailers) = frame.into_trailers() {
            self.encoder.end(Some(&trailers), queue)?;
            return Poll::Ready(Ok(true));
        }
        Poll::Ready(Ok(false))
    }
}

impl BodyEncoder {
    /// `true` if all bytes of the declared length are there.
    fn is_complete(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Appends a part of the body to `queue`. A part with more bytes than were declared is not sent.
    fn push(&mut self, data: Bytes, queue: &mut WriteQueue) -> Result<(), Error> {
        if data.is_empty() {
            // An empty chunk would end the body.
            return Ok(());
        }
        match self {
            Self::Length(left) => {
                let rest = left.checked_sub(data.len() as u64);
                *left = rest.ok_or(Error::BodyLength)?;
                queue.push(data);
            }
            Self::Chunked { .. } => {
                write!(queue.buffer(), "{:x}\r\n", data.len()).map_err(Error::Io)?;
                queue.push(data);
                queue.buffer().extend_from_slice(b"\r\n");
            }
            Self::UntilClose => queue.push(data),
        }
        Ok(())
    }

    /// Appends the end of the body to `queue`. Trailers that were not announced are left out.
    fn end(&self, trailers: Option<&HeaderMap>, queue: &mut WriteQueue) -> Result<(), Error> {
        match self {
            Self::Length(0) | Self::UntilClose => Ok(()),
            Self::Length(_) => Err(Error::BodyLength),
            Self::Chunked {
                trailers: announced,
                case,
            } => {
                let out = queue.buffer();
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    if announced.contains(name) && !FORBIDDEN.contains(name) {
                        write_field(name, value, *case, out);
                    }
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use http::HeaderValue;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    fn trailers() -> Frame<Bytes> {
        let value = HeaderValue::from_static("1");
        let names = ["x-sum", "x-other", "content-length"];
        Frame::trailers(
            names
                .map(|name| (HeaderName::from_static(name), value.clone()))
                .into_iter()
                .collect(),
        )
    }

    fn chunked(names: &[&'static str]) -> BodyEncoder {
        BodyEncoder::Chunked {
            trailers: names
                .iter()
                .map(|name| HeaderName::from_static(name))
                .collect(),
            case: FieldCase::Lower,
        }
    }

    /// Returns the bytes that are written of a body with these frames.
    fn encode(
        frames: Vec<Frame<Bytes>>,
        encoder: BodyEncoder,
    ) -> Result<String, ExchangeError<Infallible>> {
        let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
        let mut upload = EncodedBody::new(StreamBody::new(frames), encoder);
        let mut queue = WriteQueue::default();
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            match upload.poll_encode(&mut queue, cx)? {
                Poll::Ready(true) => {
                    return Ok(String::from_utf8(queue.buffer().clone()).unwrap());
                }
                Poll::Ready(false) => {}
                Poll::Pending => unreachable!("all frames are there"),
            }
        }
    }

    #[test]
    fn chunks_have_their_size_and_empty_frames_are_left_out() {
        let frames = vec![data("one"), data(""), data("0123456789abcdef")];
        assert_eq!(
            encode(frames, chunked(&[])).unwrap(),
            "3\r\none\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
        );
        assert_eq!(encode(vec![], chunked(&[])).unwrap(), "0\r\n\r\n");
    }

    #[test]
    fn only_announced_trailers_that_are_allowed_are_sent() {
        for (names, sent) in [
            (&["x-sum", "content-length"][..], "x-sum: 1\r\n"),
            (&[], ""),
        ] {
            let frames = vec![data("a"), trailers()];
            let expected = format!("1\r\na\r\n0\r\n{sent}\r\n");
            assert_eq!(encode(frames, chunked(names)).unwrap(), expected);
        }
    }

    #[test]
    fn a_body_of_another_length_than_declared_fails() {
        let ok = encode(vec![data("ab"), data("c")], BodyEncoder::Length(3));
        assert_eq!(ok.unwrap(), "abc");
        for (frames, length) in [
            (vec![data("ab"), data("c")], 2),
            (vec![data("abc")], 2),
            (vec![data("abc")], 4),
            (vec![data("abc"), trailers()], 4),
            (vec![], 1),
        ] {
            let error = encode(frames, BodyEncoder::Length(length)).unwrap_err();
            assert!(
                matches!(error, ExchangeError::Connection(Error::BodyLength)),
                "{error}"
            );
        }
    }
}
