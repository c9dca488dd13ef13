//! HTTP/2 on one connection. Each of its streams is a task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection_memory::HeldMemory;
use super::deferred_flush::DeferredFlush;
use super::driver::Protocol;
use super::http2_stream;
use super::request_handler::RequestHandler;
use crate::proxy;
use crate::server::options::Limits;
use crate::tasks::Tasks;

/// Bytes that a client may send ahead of a slow backend, on one stream and on all of them.
const WINDOW: u32 = 1024 * 1024;
/// Bytes that a client may send ahead on all streams until its first upload (the default of RFC 9113 section 6.9.2).
const FIRST_WINDOW: u32 = 65_535;
/// Bytes of a response that may wait to be sent on one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams of one connection that the client may reset before they are accepted.
const RESETS_PENDING: usize = 20;
/// Bytes that a running request holds in any case, such as its task and its state in the library.
const REQUEST_SIZE: usize = 4 * 1024;
/// Bytes that a field holds besides its name and its value.
const FIELD_SIZE: usize = 32;
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
    state: State<S>,
    /// The stream of the state.
    stream: DeferredFlush<S>,
    is_draining: bool,
    /// Memory for the window of uploads, once there was one.
    window: Option<HeldMemory>,
    /// `true` once the connection is closed because of a flood of resets.
    is_flooded: bool,
}

enum State<S> {
    Handshake(Handshake<DeferredFlush<S>, Bytes>),
    Serving(Connection<DeferredFlush<S>, Bytes>),
}

impl<'a, S> Http2<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Serves `io`: `handler` answers its streams, each in one of `tasks`.
    pub(super) fn new(
        builder: &Builder,
        io: S,
        handler: Arc<RequestHandler>,
        tasks: &'a Tasks,
    ) -> Self {
        let stream = DeferredFlush::new(io);
        Self {
            handler,
            tasks,
            state: State::Handshake(builder.handshake(stream.handle())),
            stream,
            is_draining: false,
            window: None,
            is_flooded: false,
        }
    }

    /// Has a task answer `request`, unless the client has no memory left for it.
    fn spawn(&mut self, request: Request<RecvStream>, mut reply: SendResponse<Bytes>) {
        let Some(held) = self.handler.memory.hold(size(&request)) else {
            // The client may send the request again, since it was not processed (RFC 9113 section 8.7).
            reply.send_reset(Reason::REFUSED_STREAM);
            self.handler
                .service
                .refusals()
                .count(proxy::Reason::StreamMemory);
            return;
        };
        if !request.body().is_end_stream() {
            self.open_window();
        }
        let handler = Arc::clone(&self.handler);
        self.tasks.spawn(async move {
            http2_stream::serve(handler, request, reply).await;
            drop(held);
        });
    }

    /// Opens the connection's window for uploads, if the client has memory left for that.
    fn open_window(&mut self) {
        if self.window.is_some() {
            return;
        }
        self.window = self.handler.memory.hold((WINDOW - FIRST_WINDOW) as usize);
        if let (Some(_), State::Serving(connection)) = (&self.window, &mut self.state) {
            connection.set_target_window_size(WINDOW);
        }
    }

    /// Closes the connection of a client that resets too many of its requests.
    fn end_flood(&mut self) {
        if let State::Serving(connection) = &mut self.state
            && self.handler.resets.is_flood()
            && !self.is_flooded
        {
            self.is_flooded = true;
            self.handler
                .service
                .refusals()
                .count(proxy::Reason::Http2Flood);
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
    }
}

/// Returns the bytes that a request holds until its response is over.
fn size(request: &Request<RecvStream>) -> usize {
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_SIZE);
    let target = request.uri().path_and_query();
    REQUEST_SIZE + fields.sum::<usize>() + target.map_or(0, |target| target.as_str().len())
}

impl<S> Http2<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Accepts streams, reads frames and writes frames until there is nothing more to do.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            self.end_flood();
            match &mut self.state {
                State::Handshake(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(cx))?;
                    if self.is_draining {
                        connection.graceful_shutdown();
                    }
                    self.state = State::Serving(connection);
                }
                State::Serving(connection) => {
                    let Some(stream) = ready!(connection.poll_accept(cx)) else {
                        return Poll::Ready(Ok(()));
                    };
                    let (request, reply) = stream?;
                    self.spawn(request, reply);
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
        if ended.is_pending() {
            self.stream.flush_deferred(cx);
            let handler = &self.handler;
            if !handler.deadlines.is_write_blocked() {
                handler.memory.all_written();
            }
        }
        ended
    }
}

impl<S> Protocol for Http2<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Error = h2::Error;

    fn graceful_shutdown(mut self: Pin<&mut Self>) {
        self.is_draining = true;
        if let State::Serving(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }

    /// Says which request was the last one, so that the client can send all later ones again elsewhere.
    fn close(mut self: Pin<&mut Self>) -> bool {
        if let State::Serving(connection) = &mut self.state {
            connection.abrupt_shutdown(Reason::NO_ERROR);
            return true;
        }
        false
    }
}
