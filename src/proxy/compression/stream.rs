//! A body that is compressed while it is sent.

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

/// Size of the output that is sent at once while more input is ready, in bytes.
const PIECE: usize = 16 * 1024;
/// Maximum input that is encoded at once, in bytes, so that a body of zeros does not make other requests wait.
const MAX_AT_ONCE: usize = 128 * 1024;

/// A body that passes through an encoder. It is flushed whenever the sender pauses.
pub(crate) struct Compressed<B> {
    inner: B,
    /// `None` once the stream has ended.
    encoder: Option<Encoder>,
    has_unflushed: bool,
    trailers: Option<HeaderMap>,
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Compressed<B> {
    /// Compresses `inner` with `encoder`.
    pub(crate) fn new(inner: B, encoder: Encoder) -> Self {
        Self {
            inner,
            encoder: Some(encoder),
            has_unflushed: false,
            trailers: None,
        }
    }

    /// `true` if no more frames follow.
    pub(crate) fn is_over(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    pub(crate) fn poll_frame(
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
                            Ok(()) if taken >= MAX_AT_ONCE => self.flush(),
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
                    warn!(%error, "compression failed; a response broke off");
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
