//! Sends the body of one response on its HTTP/2 stream, as fast as the client reads that stream.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};

use super::connection_memory::{ConnectionMemory, HeldMemory};
use super::tracked_body::TrackedBody;
use crate::proxy::{Body, BodyError, ProgressTimeout};

/// Reasons why a response is not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The stream or its connection ended.
    #[error("the stream ended")]
    Stream(#[from] h2::Error),
    /// The client reset the stream.
    #[error("the client reset the stream with {0}")]
    Reset(Reason),
    /// The client did not read the stream in time.
    #[error("the client does not read the stream")]
    Stalled,
    /// The streams of the client hold as much as they may.
    #[error("the client reads too little of too many streams")]
    OverShare,
    /// The response's body failed.
    #[error("the response broke off")]
    Body(#[source] BodyError),
}

/// The sending half of a stream whose response has begun.
pub(super) struct ResponseSender {
    stream: SendStream<Bytes>,
    stall: ProgressTimeout,
    memory: Arc<ConnectionMemory>,
    /// Data that waits for the client.
    held: Option<HeldMemory>,
}

impl ResponseSender {
    /// Sends on `stream`. The client must take some of the data within each `body_timeout`.
    /// Data that waits is counted in `memory`.
    pub(super) fn new(
        stream: SendStream<Bytes>,
        body_timeout: Duration,
        memory: Arc<ConnectionMemory>,
    ) -> Self {
        Self {
            stream,
            stall: ProgressTimeout::new(body_timeout),
            memory,
            held: None,
        }
    }

    /// Sends a whole body.
    pub(super) async fn send(mut self, body: TrackedBody<Body>) -> Result<(), Broken> {
        let mut body = pin!(body);
        loop {
            let Some(frame) = self.next_frame(body.as_mut()).await? else {
                self.stream.send_data(Bytes::new(), true)?;
                return Ok(());
            };
            match frame.into_data() {
                Ok(data) => {
                    let is_last = body.is_end_stream();
                    self.send_data(data, is_last).await?;
                    if is_last {
                        return Ok(());
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.stream.send_trailers(trailers)?;
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn next_frame(
        &mut self,
        mut body: Pin<&mut TrackedBody<Body>>,
    ) -> Result<Option<Frame<Bytes>>, Broken> {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(reason) = self.stream.poll_reset(cx)? {
                return Poll::Ready(Err(Broken::Reset(reason)));
            }
            body.as_mut().poll_frame(cx).map(Ok)
        });
        frame.await?.transpose().map_err(Broken::Body)
    }

    /// Sends `data`, and with it the end of the stream if it `is_last`.
    ///
    /// Only what fits into the client's window is handed to the library. Otherwise the rest would wait there, out of reach of
    /// the time-out, after this task has ended.
    async fn send_data(&mut self, mut data: Bytes, is_last: bool) -> Result<(), Broken> {
        if data.is_empty() && is_last {
            self.stream.send_data(data, true)?;
            return Ok(());
        }
        while !data.is_empty() {
            let room = poll_fn(|cx| self.poll_room(data.len(), cx)).await?;
            self.stall.reset();
            self.held = None;
            let part = data.split_to(room.min(data.len()));
            if !self.memory.queue(part.len()) {
                return Err(Broken::OverShare);
            }
            self.stream.send_data(part, is_last && data.is_empty())?;
        }
        Ok(())
    }

    /// Waits until the client takes some of `len` bytes.
    fn poll_room(&mut self, len: usize, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        self.stream.reserve_capacity(len);
        loop {
            let room = self.stream.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(capacity)) => drop(capacity?),
                Poll::Ready(None) => {
                    let reason = self.stream.poll_reset(cx)?;
                    return Poll::Ready(Err(match reason {
                        Poll::Ready(reason) => Broken::Reset(reason),
                        Poll::Pending => Broken::Stream(Reason::STREAM_CLOSED.into()),
                    }));
                }
                Poll::Pending => {
                    if self.held.is_none() {
                        self.held = self.memory.hold(len);
                        if self.held.is_none() {
                            return Poll::Ready(Err(Broken::OverShare));
                        }
                    }
                    return self.stall.poll_elapsed(cx).map(|()| Err(Broken::Stalled));
                }
            }
        }
    }
}
