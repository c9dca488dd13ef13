//! Sends the body of one response on its HTTP/2 stream, as fast as the client reads that stream.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};

use super::request_handler::RequestHandler;
use super::tracked_body::TrackedBody;
use crate::memory::{ChunkSizes, HeldBytes, HeldMemory, Repayment, SMALL_HEAD, head_size};
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
    /// The streams of the client hold more than they may.
    #[error("the client reads too little of too many streams")]
    OverShare,
    /// The response's body failed.
    #[error("the response broke off")]
    Body(#[source] BodyError),
}

/// The sending half of a stream whose response has begun.
pub(super) struct ResponseSender<'h> {
    stream: SendStream<HeldBytes>,
    handler: &'h RequestHandler,
    stall: ProgressTimeout,
    /// Limits the wait for a turn, while the connection holds more than it may.
    turn: ProgressTimeout,
    repayment: Repayment,
    sizes: ChunkSizes,
    /// Memory of the request and of the response's head, held until the end of the response is written.
    held: HeldMemory,
}

impl<'h> ResponseSender<'h> {
    /// Sends on `stream`. The client must take some of the data within each `body-timeout`. While its connection holds more
    /// than it may, no more is read from the backend.
    pub(super) fn new(
        stream: SendStream<HeldBytes>,
        handler: &'h RequestHandler,
        held: HeldMemory,
    ) -> Self {
        Self {
            stream,
            handler,
            stall: ProgressTimeout::new(handler.body_timeout),
            // A response that its client does not read may be before this one.
            turn: ProgressTimeout::new(2 * handler.body_timeout),
            repayment: Repayment::default(),
            sizes: ChunkSizes::default(),
            held,
        }
    }

    /// Sends a whole body.
    pub(super) async fn send(mut self, body: TrackedBody<Body>) -> Result<(), Broken> {
        let mut body = pin!(body);
        loop {
            let Some(frame) = self.next_frame(body.as_mut()).await? else {
                self.send_mark(true)?;
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
                        let size = head_size(&trailers);
                        self.held.merge(self.handler.memory.owe(size));
                        if size > SMALL_HEAD || self.handler.is_congested() {
                            self.send_mark(false)?;
                        }
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
            ready!(self.poll_turn(cx))?;
            body.as_mut().poll_frame(cx).map(Ok)
        });
        frame.await?.transpose().map_err(Broken::Body)
    }

    /// Waits until the connection holds no more than it may.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.repayment.poll(&self.handler.memory, cx).is_pending() {
            return self.turn.poll_elapsed(cx).map(|()| Err(Broken::Stalled));
        }
        self.turn.reset();
        Poll::Ready(Ok(()))
    }

    /// Sends `data`, and with it the end of the stream if it `is_last`.
    ///
    /// Only what fits into the client's window is handed to the library. Otherwise the rest would wait there, out of reach of
    /// the time-out, after this task has ended.
    async fn send_data(&mut self, mut data: Bytes, is_last: bool) -> Result<(), Broken> {
        if data.is_empty() {
            if is_last {
                self.send_mark(true)?;
            }
            return Ok(());
        }
        let mut held = self.handler.memory.owe(self.sizes.of(&data));
        while !data.is_empty() {
            let room = poll_fn(|cx| self.poll_room(data.len(), cx)).await?;
            self.stall.reset();
            let part = data.split_to(room.min(data.len()));
            let mut held = held.split(if data.is_empty() {
                usize::MAX
            } else {
                part.len()
            });
            let is_end = is_last && data.is_empty();
            if is_end {
                held.merge(self.held.split(usize::MAX));
            }
            self.stream.send_data(HeldBytes::new(part, held), is_end)?;
        }
        Ok(())
    }

    /// Sends an empty chunk. The memory that is held for the whole response is given back when it is written.
    fn send_mark(&mut self, is_end: bool) -> Result<(), h2::Error> {
        let held = self.held.split(usize::MAX);
        let mark = HeldBytes::new(Bytes::new(), held);
        self.stream.send_data(mark, is_end)
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
                    return self.stall.poll_elapsed(cx).map(|()| Err(Broken::Stalled));
                }
            }
        }
    }
}
