//! HTTP/2 on one connection. Each of its streams is a task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::batched_stream::BatchedStream;
use super::driver::Protocol;
use super::http2_stream::{self, AdmittedRequest};
use super::request_handler::{RequestHandler, boxed};
use super::tracked_body::RequestMark;
use super::tracked_stream::TrackedStream;
use super::waiting_requests::{Outcome, Turn, WaitingRequests};
use crate::memory::{
    FlowWindow, HeldBytes, RUNNING_SIZE, Transfer, WAITING_SIZE, request_head_size,
    small_upload_size,
};
use crate::proxy;
use crate::server::lingering_close::LingeringClose;
use crate::server::options::Limits;
use crate::tasks::Tasks;

/// Bytes that a client may send ahead of a slow backend, on one stream and, while a large upload runs, on all of them.
const WINDOW: u32 = 1024 * 1024;
/// Bytes that a client may send ahead on all streams otherwise (the default of RFC 9113 section 6.9.2).
const FIRST_WINDOW: u32 = 65_535;
/// Bytes of a response that may wait to be sent on one stream.
const SEND_BUFFER: usize = 128 * 1024;
/// Streams of one connection that the client may reset before they are accepted.
const RESETS_PENDING: usize = 20;
/// New requests of one connection that are refused during a flood of resets, before the running ones are cut.
const REFUSED_IN_FLOOD: u32 = 500;
/// Streams of one connection that may be reset because the client breaks the rules on them.
const RESETS_FOR_FAULTS: usize = 128;

/// Builds HTTP/2 within `limits`, which bound streams, header lists and the resets of either side.
///
/// Heads may be twice as large as the limit, so that the service, which can say why, refuses most of the too large ones.
pub(super) fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    let head_size = u32::try_from(2 * limits.head_size).unwrap_or(u32::MAX);
    builder
        .initial_window_size(WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(head_size)
        .max_pending_accept_reset_streams(RESETS_PENDING)
        .max_local_error_reset_streams(Some(RESETS_FOR_FAULTS))
        .enable_connect_protocol();
    builder
}

/// An HTTP/2 connection.
pub(super) struct Http2<'a, S> {
    handler: Arc<RequestHandler>,
    tasks: &'a Tasks,
    state: State<TrackedStream<S>>,
    /// The stream of the state.
    stream: BatchedStream<TrackedStream<S>>,
    is_draining: bool,
    uploads: Arc<FlowWindow>,
    is_wide: bool,
    /// `true` once the client was given the wide window. What is left of it cannot be taken back.
    was_wide: bool,
    /// `true` once the connection was closed because its client broke the rules.
    has_failed: bool,
    flood: Flood,
    waiting: WaitingRequests,
}

/// How far the end of a connection has come whose client resets too many of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    None,
    /// Running requests go on. So many new ones were refused.
    Refusing(u32),
    Closed,
}

enum State<S> {
    Handshake(Handshake<BatchedStream<S>, HeldBytes>),
    Serving(Connection<BatchedStream<S>, HeldBytes>),
}

impl<'a, S> Http2<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Serves `io`: `handler` answers its streams, each in one of `tasks`.
    pub(super) fn new(
        builder: &Builder,
        io: TrackedStream<S>,
        handler: Arc<RequestHandler>,
        tasks: &'a Tasks,
    ) -> Self {
        let memory = Arc::clone(&handler.memory);
        let stream = BatchedStream::new(io);
        let waiting = WaitingRequests::new(Arc::clone(&memory));
        Self {
            handler,
            tasks,
            state: State::Handshake(builder.handshake(stream.handle())),
            stream,
            is_draining: false,
            uploads: FlowWindow::new(memory, (WINDOW - FIRST_WINDOW) as usize),
            is_wide: false,
            was_wide: false,
            has_failed: false,
            flood: Flood::None,
            waiting,
        }
    }

    /// Has a task answer `request`, now or when its client has memory for it.
    fn accept(&mut self, request: Request<RecvStream>, mut reply: SendResponse<HeldBytes>) {
        if let Flood::Refusing(refused) = &mut self.flood {
            *refused += 1;
            reply.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        let Some((size, upload)) = self.size(&request) else {
            self.refuse(reply);
            return;
        };
        let memory = &self.handler.memory;
        let held = if self.waiting.is_empty() {
            memory.hold_to_run(RUNNING_SIZE + size)
        } else {
            None
        };
        let is_running = held.is_some();
        let Some(held) = held.or_else(|| memory.hold_to_wait(WAITING_SIZE + size)) else {
            self.refuse(reply);
            return;
        };
        let admitted = AdmittedRequest {
            request,
            held,
            upload,
        };
        if is_running {
            self.spawn(admitted, reply);
        } else {
            let mark = RequestMark::new(Arc::clone(&self.handler.deadlines));
            self.waiting.push(admitted, reply, mark);
        }
    }

    fn spawn(&self, admitted: AdmittedRequest, reply: SendResponse<HeldBytes>) {
        let handler = Arc::clone(&self.handler);
        let answered = boxed(|| http2_stream::serve(handler, admitted, reply));
        self.tasks.spawn(answered);
    }

    /// Refuses a request. The client may send it again, since it was not processed (RFC 9113 section 8.7).
    fn refuse(&self, mut reply: SendResponse<HeldBytes>) {
        reply.send_reset(Reason::REFUSED_STREAM);
        let refusals = self.handler.service.refusals();
        refusals.count(proxy::Reason::StreamMemory);
    }

    /// Returns the bytes that `request` holds itself, and its upload, unless that is small. `None` if the client has no memory
    /// for the upload.
    fn size(&self, request: &Request<RecvStream>) -> Option<(usize, Option<Transfer>)> {
        let size = request_head_size(request);
        if request.body().is_end_stream() {
            return Some((size, None));
        }
        if let Some(length) = small_upload_size(request.headers()) {
            return Some((size + length, None));
        }
        let upload = if self.was_wide {
            self.uploads.begin_wide()?
        } else {
            self.uploads.begin()
        };
        Some((size, Some(upload)))
    }

    /// Acts on requests that have waited. Returns `false` if all have to wait on.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(Turn {
            admitted,
            reply,
            outcome,
        }) = self.waiting.poll_next(cx)
        else {
            return false;
        };
        match outcome {
            Outcome::Run => self.spawn(admitted, reply),
            Outcome::Refuse => self.refuse(reply),
            Outcome::Reset => self.handler.resets.count(),
        }
        true
    }

    /// Opens the connection's window when a large upload runs, and lets it close again after the last one.
    fn adjust_window(&mut self) {
        let is_wide = self.uploads.is_wide();
        if is_wide != self.is_wide
            && let State::Serving(connection) = &mut self.state
        {
            self.is_wide = is_wide;
            self.was_wide |= is_wide;
            connection.set_target_window_size(if is_wide { WINDOW } else { FIRST_WINDOW });
        }
    }

    /// Refuses the new requests of a client that resets too many of them, and closes its connection after the running ones.
    /// Must be called when all that could be written is written. Returns `true` if the connection has to write the reason.
    fn end_flood(&mut self) -> bool {
        let (State::Serving(connection), true) = (&mut self.state, self.handler.resets.is_flood())
        else {
            return false;
        };
        if self.flood == Flood::None {
            self.flood = Flood::Refusing(0);
            let refusals = self.handler.service.refusals();
            refusals.count(proxy::Reason::Http2Flood);
        }
        let deadlines = &self.handler.deadlines;
        let is_over = !deadlines.has_requests() && !deadlines.is_write_blocked();
        let Flood::Refusing(refused) = self.flood else {
            return false;
        };
        let is_closing = is_over || refused > REFUSED_IN_FLOOD;
        if is_closing {
            self.flood = Flood::Closed;
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        is_closing
    }
}

impl<S> Http2<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Accepts streams, reads frames and writes frames until there is nothing more to do, or its streams have a batch to act on.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            self.adjust_window();
            match &mut self.state {
                State::Handshake(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(cx))?;
                    if self.is_draining {
                        connection.graceful_shutdown();
                    }
                    self.state = State::Serving(connection);
                }
                State::Serving(connection) => {
                    let Poll::Ready(stream) = connection.poll_accept(cx) else {
                        self.stream.read_on(cx);
                        if self.poll_waiting(cx) || self.end_flood() {
                            continue;
                        }
                        return Poll::Pending;
                    };
                    let Some(stream) = stream else {
                        return Poll::Ready(Ok(()));
                    };
                    let (request, reply) = stream?;
                    self.accept(request, reply);
                }
            }
        }
    }
}

impl<S> Future for Http2<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = self.poll_streams(cx);
        match &ended {
            Poll::Pending => self.stream.flush_deferred(cx),
            Poll::Ready(result) => self.has_failed = result.is_err(),
        }
        ended
    }
}

impl<S> Protocol for Http2<'_, S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Error = h2::Error;

    fn graceful_shutdown(mut self: Pin<&mut Self>) {
        self.is_draining = true;
        if let State::Serving(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }

    /// GOAWAY asks for it, and a request that crosses it is still answered.
    fn announces_end(&self) -> bool {
        true
    }

    /// Says which request was the last one, so that the client can send all later ones again elsewhere.
    fn close(mut self: Pin<&mut Self>) -> bool {
        if let State::Serving(connection) = &mut self.state {
            connection.abrupt_shutdown(Reason::NO_ERROR);
            return true;
        }
        false
    }

    /// The client of a connection that is closed for what it sent has not read the reason yet, and sends on.
    fn into_lingering(self: Pin<Box<Self>>) -> Option<LingeringClose> {
        let this = *Pin::into_inner(self);
        if !this.has_failed && this.flood != Flood::Closed {
            return None;
        }
        // The other handle of the stream.
        drop(this.state);
        let stream = this.stream.into_inner()?;
        (stream.is_shut_down()).then(|| LingeringClose::new(stream, Instant::now()))
    }
}
