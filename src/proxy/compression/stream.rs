//! A body that is encoded while it passes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tracing::warn;

use super::coding::Encoder;
use crate::upstream::BodyError;

/// What is gathered before it goes on, if more is there.
const PIECE: usize = 16 * 1024;
/// What is encoded at once, so that a body of zeros does not keep others waiting.
const MOST_AT_ONCE: usize = 128 * 1024;

/// A body on its way through an encoder. When the sender pauses, all that it has sent goes on.
pub(in crate::proxy) struct Compressed<B> {
    inner: B,
    /// `None` once the stream is ended.
    encoder: Option<Encoder>,
    has_unflushed: bool,
    trailers: Option<HeaderMap>,
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Compressed<B> {
    /// `inner` as it comes out of `encoder`.
    pub(in crate::proxy) fn new(inner: B, encoder: Encoder) -> Self {
        Self {
            inner,
            encoder: Some(encoder),
            has_unflushed: false,
            trailers: None,
        }
    }

    /// Whether nothing more comes.
    pub(in crate::proxy) fn is_over(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    pub(in crate::proxy) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut taken = 0;
        while let Some(encoder) = &mut self.encoder {
            let encoded = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Pending if !self.has_unflushed => return Poll::Pending,
                Poll::Pending => self.flush(),
                Poll::Ready(None) => self.finish(),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        taken += data.len();
                        self.has_unflushed = true;
                        match encoder.write(&data) {
                            Ok(()) if taken >= MOST_AT_ONCE => self.flush(),
                            Ok(()) if encoder.out().len() >= PIECE => Ok(take(encoder)),
                            Ok(()) => continue,
                            Err(error) => Err(error),
                        }
                    }
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.finish()
                    }
                },
            };
            match encoded {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(error) => {
                    warn!(%error, "a response broke off while it was compressed");
                    return Poll::Ready(Some(Err(BodyError::Stopped)));
                }
            }
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn flush(&mut self) -> io::Result<Bytes> {
        self.has_unflushed = false;
        match &mut self.encoder {
            Some(encoder) => encoder.flush().map(|()| take(encoder)),
            None => Ok(Bytes::new()),
        }
    }

    fn finish(&mut self) -> io::Result<Bytes> {
        match self.encoder.take() {
            Some(encoder) => encoder.finish().map(Bytes::from),
            None => Ok(Bytes::new()),
        }
    }
}

fn take(encoder: &mut Encoder) -> Bytes {
    Bytes::from(std::mem::take(encoder.out()))
}

impl<B: fmt::Debug> fmt::Debug for Compressed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
