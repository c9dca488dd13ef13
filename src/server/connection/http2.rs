//! HTTP/2 on one connection. Each of its streams is a task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::Protocol;
use super::http2_stream;
use super::request_handler::RequestHandler;
use crate::server::options::Limits;
use crate::tasks::Tasks;

/// Bytes that a client may send ahead of a slow backend, on one stream and on all of them.
const WINDOW: u32 = 1024 * 1024;
/// Bytes of a response that may wait to be sent on one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams of one connection that the client may reset before they are accepted.
const RESETS_PENDING: usize = 20;
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
        .initial_connection_window_size(WINDOW)
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
    is_draining: bool,
}

enum State<S> {
    Handshake(Handshake<S, Bytes>),
    Serving(Connection<S, Bytes>),
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
        Self {
            handler,
            tasks,
            state: State::Handshake(builder.handshake(io)),
            is_draining: false,
        }
    }

    fn spawn(&self, request: Request<RecvStream>, reply: SendResponse<Bytes>) {
        let handler = Arc::clone(&self.handler);
        self.tasks
            .spawn(http2_stream::serve(handler, request, reply));
    }
}

impl<S> Future for Http2<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
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
}
