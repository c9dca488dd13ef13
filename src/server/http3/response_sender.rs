//! Sends one response on its stream, as fast as the client reads it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use http::Response;
use http_body::{Body as _, Frame};

use super::early_data::HandshakeFailed;
use super::quic_connection::Stopped;
use super::quic_streams::QuicSendStream;
use super::windows::WindowedTransfer;
use crate::memory::{ChunkSizes, Repayment};
use crate::proxy::{Body, BodyError, Interims, ProgressTimeout};
use crate::server::connection::{RequestHandler, TrackedBody};

/// Most bytes of one DATA frame. The client must take each within `body-timeout`.
const MOST_DATA: usize = 16 * 1024;

/// Reasons why a response is not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The stream or its connection ended.
    #[error("the stream ended")]
    Stream(#[from] StreamError),
    /// The client wants no more of the response.
    #[error("the client stopped the stream with {0}")]
    Reset(Code),
    /// The client did not read the stream in time.
    #[error("the client does not read the stream")]
    Stalled,
    /// The streams of the client hold more than they may.
    #[error("the client reads too little of too many streams")]
    OverShare,
    /// The response's body failed.
    #[error("the response broke off")]
    Body(#[source] BodyError),
    /// The handshake failed after the request.
    #[error(transparent)]
    Handshake(#[from] HandshakeFailed),
    /// The request's head was not complete in time.
    #[error("the head of the request is not complete")]
    HeadTimeout,
}

/// The sending half of a request's stream.
pub(super) struct ResponseSender<'h> {
    stream: RequestStream<QuicSendStream, Bytes>,
    stopped: Stopped,
    handler: &'h RequestHandler,
    stall: ProgressTimeout,
    /// Limits the wait for a turn, while the connection holds more than it may.
    turn: ProgressTimeout,
    repayment: Repayment,
    sizes: ChunkSizes,
}

impl<'h> ResponseSender<'h> {
    /// Sends on `stream`. The client must take some of the data within each `body-timeout`. While its connection holds more
    /// than it may, no more is read from the backend.
    pub(super) fn new(
        stream: RequestStream<QuicSendStream, Bytes>,
        stopped: Stopped,
        handler: &'h RequestHandler,
    ) -> Self {
        Self {
            stream,
            stopped,
            handler,
            stall: ProgressTimeout::new(handler.body_timeout),
            // A response that its client does not read may be before this one.
            turn: ProgressTimeout::new(2 * handler.body_timeout),
            repayment: Repayment::default(),
            sizes: ChunkSizes::default(),
        }
    }

    /// Waits for the response, and sends the interim responses before it.
    pub(super) async fn await_answer<F>(
        &mut self,
        mut call: Pin<Box<F>>,
        interims: &Interims,
    ) -> Result<F::Output, Broken>
    where
        F: Future,
    {
        loop {
            let (answer, waiting) = poll_fn(|cx| {
                let answer = call.as_mut().poll(cx);
                let waiting = interims.poll_take(cx);
                if answer.is_pending() && waiting.is_pending() {
                    ready!(self.poll_stopped(cx))?;
                }
                Poll::Ready(Ok::<_, Broken>((answer, waiting)))
            })
            .await?;
            if let Poll::Ready(responses) = waiting {
                for interim in responses {
                    self.send_head(interim).await?;
                }
            }
            if let Poll::Ready(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// Sends the head of a response.
    pub(super) async fn send_head(&mut self, head: Response<()>) -> Result<(), Broken> {
        let sending = self.stream.send_response(head);
        within(&mut self.stall, sending).await
    }

    /// Sends a whole body.
    pub(super) async fn send_body(
        &mut self,
        body: TrackedBody<Body>,
        mut download: WindowedTransfer,
    ) -> Result<(), Broken> {
        let mut body = pin!(body);
        while let Some(frame) = self.next_frame(body.as_mut()).await? {
            match frame.into_data() {
                Ok(data) => {
                    download.record(data.len());
                    self.send_data(data).await?;
                    if body.is_end_stream() {
                        break;
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        let sending = self.stream.send_trailers(trailers);
                        return within(&mut self.stall, sending).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the response, and waits until the client has all of it.
    pub(super) async fn finish(&mut self) -> Result<(), Broken> {
        within(&mut self.stall, self.stream.finish()).await?;
        let (stopped, stall) = (&mut self.stopped, &mut self.stall);
        poll_fn(|cx| match stopped.as_mut().poll(cx) {
            // A client that stops the stream now, or whose connection has ended, wants no more of it.
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending => stall.poll_elapsed(cx).map(|()| Err(Broken::Stalled)),
        })
        .await
    }

    /// Ends the stream with an error.
    pub(super) fn reset(&mut self, code: Code) {
        self.stream.stop_stream(code);
    }

    /// Fails when the client wants no more of the response.
    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match ready!(self.stopped.as_mut().poll(cx)) {
            Ok(Some(code)) => Poll::Ready(Err(Broken::Reset(code.into_inner().into()))),
            Ok(None) => Poll::Ready(Err(Broken::Reset(Code::H3_NO_ERROR))),
            Err(_) => Poll::Ready(Err(Broken::Reset(Code::H3_REQUEST_CANCELLED))),
        }
    }

    async fn next_frame(
        &mut self,
        mut body: Pin<&mut TrackedBody<Body>>,
    ) -> Result<Option<Frame<Bytes>>, Broken> {
        let frame = poll_fn(|cx| {
            ready!(self.poll_turn(cx))?;
            let frame = body.as_mut().poll_frame(cx);
            if frame.is_pending() {
                ready!(self.poll_stopped(cx))?;
            }
            frame.map(Ok::<_, Broken>)
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

    /// Sends `data`. Its memory is held until it fits into the window of the connection.
    async fn send_data(&mut self, mut data: Bytes) -> Result<(), Broken> {
        if data.is_empty() {
            return Ok(());
        }
        let mut held = self.handler.memory.owe(self.sizes.of(&data));
        while !data.is_empty() {
            let part = data.split_to(data.len().min(MOST_DATA));
            let length = part.len();
            within(&mut self.stall, self.stream.send_data(part)).await?;
            drop(held.split(length));
        }
        Ok(())
    }
}

/// Sends something before a stalled client's time is over.
async fn within(
    stall: &mut ProgressTimeout,
    sending: impl Future<Output = Result<(), StreamError>>,
) -> Result<(), Broken> {
    let mut sending = pin!(sending);
    stall.reset();
    poll_fn(|cx| match sending.as_mut().poll(cx) {
        Poll::Ready(Err(StreamError::RemoteTerminate { code, .. })) => {
            Poll::Ready(Err(Broken::Reset(code)))
        }
        Poll::Ready(sent) => Poll::Ready(sent.map_err(Broken::Stream)),
        Poll::Pending => stall.poll_elapsed(cx).map(|()| Err(Broken::Stalled)),
    })
    .await
}
