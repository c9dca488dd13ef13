//! HTTP/2 on one connection, whose streams are tasks of their own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use http::{Request, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Limits;
use super::connection::Conversation;
use super::exchanges::Exchanges;
use super::http2_stream;
use crate::proxy::{Reason, RejectedEarly};
use crate::tasks::Tasks;

/// What a client may send ahead of a slow backend, on one stream and on all of them.
const WINDOW: u32 = 1024 * 1024;
/// How much waits to be sent on one stream before no more is taken of its answer.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that were reset before they were looked at, and those that were reset for their faults.
const RESETS_PENDING: usize = 20;
const RESETS_FOR_FAULTS: usize = 128;

/// The protocol within `limits`: streams, header lists, and resets of either side are bounded.
///
/// Twice the size of a head is let in, so that most that are too large are refused by who can say why.
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

/// The protocol on one stream of bytes, until it is over.
pub(super) struct Http2<'a, S> {
    exchanges: Arc<Exchanges>,
    tasks: &'a Tasks,
    state: State<S>,
    is_ending: bool,
}

enum State<S> {
    Greeting(Handshake<S, Bytes>),
    Serving(Connection<S, Bytes>),
}

impl<'a, S> Http2<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Has `exchanges` answer what comes by `io`, in tasks among `tasks`.
    pub(super) fn new(
        builder: &Builder,
        io: S,
        exchanges: Arc<Exchanges>,
        tasks: &'a Tasks,
    ) -> Self {
        Self {
            exchanges,
            tasks,
            state: State::Greeting(builder.handshake(io)),
            is_ending: false,
        }
    }

    fn note_resets(&self) {
        let Exchanges {
            service,
            info,
            activity,
        } = &*self.exchanges;
        for _ in 0..activity.resets().take() {
            let unread = RejectedEarly {
                version: Version::HTTP_2,
                status: StatusCode::BAD_REQUEST,
                reason: Reason::Http2Stream,
            };
            service.note_rejected_early(info, unread);
        }
    }

    fn begin(&self, request: Request<RecvStream>, reply: SendResponse<Bytes>) {
        let exchanges = Arc::clone(&self.exchanges);
        self.tasks
            .spawn(http2_stream::serve(exchanges, request, reply));
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
                State::Greeting(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(cx))?;
                    if self.is_ending {
                        connection.graceful_shutdown();
                    }
                    self.state = State::Serving(connection);
                }
                State::Serving(connection) => {
                    let accepted = connection.poll_accept(cx);
                    self.note_resets();
                    let Some(stream) = ready!(accepted) else {
                        return Poll::Ready(Ok(()));
                    };
                    let (request, reply) = stream?;
                    self.begin(request, reply);
                }
            }
        }
    }
}

impl<S> Conversation for Http2<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Error = h2::Error;

    fn end(mut self: Pin<&mut Self>) {
        self.is_ending = true;
        if let State::Serving(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }
}
