//! One HTTP/3 connection, from its first request to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h3::error::{Code, ConnectionError};
use h3::server;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::early_data::EarlyData;
use super::quic_connection::{LastAccepted, QuicConnection};
use super::quic_streams::var_int;
use super::request_stream::{self, AcceptedStream, ConnectionContext};
use super::windows::Windows;
use crate::figures::{ClientProtocol, OpenConnection};
use crate::proxy::{ConnInfo, Reason, WorkerRefusals};
use crate::server::accept::ConnectionSlot;
use crate::server::connection::{Deadlines, Driver, Http, Protocol, boxed};
use crate::server::options::Limits;
use crate::tasks::{Shutdown, Tasks};

/// Requests that may be on their way when the client is told that the connection closes. They are answered.
const ON_THEIR_WAY: usize = 100;
/// Time for them to arrive.
const LAST_ARRIVAL: Duration = Duration::from_millis(200);
/// Bytes that each field of a head counts more than its name and value (RFC 9114 section 4.2.2).
const FIELD: usize = 32;

/// A QUIC connection to serve HTTP/3 on.
#[derive(Debug)]
pub(in crate::server) struct Http3Connection {
    pub(in crate::server) quic: quinn::Connection,
    /// Facts about the connection.
    pub(in crate::server) info: ConnInfo,
    /// Its slot among the open connections.
    pub(in crate::server) slot: ConnectionSlot,
    /// Early data, if the handshake is not complete.
    pub(in crate::server) early: Option<EarlyData>,
}

/// Serves one connection until it is over, a deadline is missed or the process stops.
pub(in crate::server) async fn serve(
    http: &Http,
    connection: Http3Connection,
    shutdown: &Shutdown,
) {
    let Http3Connection {
        quic,
        info,
        slot,
        early,
    } = connection;
    let limits = http.limits();
    let counted = OpenConnection::new(http.shared_figures(), ClientProtocol::Http3);
    let deadlines = Deadlines::new(true);
    let handler = http.request_handler(info, &slot, Arc::clone(&deadlines), None);
    let context = ConnectionContext {
        windows: Windows::new(quic.clone(), &handler.memory),
        handler: Arc::clone(&handler),
        header_timeout: limits.header_timeout,
        streams: Arc::default(),
        early,
    };
    let protocol = Http3::new(quic.clone(), context, limits, http.tasks().clone());
    let driver = Driver {
        deadlines: &deadlines,
        limits,
        shutdown,
        refusals: http.refusals(),
    };
    let ended = driver.drive(Box::pin(protocol)).await;
    if let Some(error) = ended.error {
        http.count_end(&error, &handler);
    }
    quic.close(var_int(Code::H3_NO_ERROR.value()), b"");
    drop((counted, slot));
}

/// An HTTP/3 connection.
struct Http3 {
    quic: quinn::Connection,
    running: Pin<Box<dyn Future<Output = Result<(), ConnectionError>> + Send>>,
    closing: Arc<Notify>,
}

impl Http3 {
    fn new(
        quic: quinn::Connection,
        context: ConnectionContext,
        limits: &Limits,
        tasks: Tasks,
    ) -> Self {
        let closing = Arc::new(Notify::new());
        let memory = Arc::clone(&context.handler.memory);
        // Heads may be twice as large as the limit, so that the service, which can say why, refuses most of the too large ones.
        let most_head = 2 * limits.head_size;
        let most_fields = most_head + FIELD * limits.head_fields;
        let adapter = QuicConnection::new(quic.clone(), memory, size(most_head));
        let requests = Requests {
            quic: quic.clone(),
            last_accepted: adapter.last_accepted(),
            info: Arc::clone(&context.handler.info),
            context: Arc::new(context),
            tasks,
            closing: Arc::clone(&closing),
        };
        let running = requests.answer(adapter, size(most_fields));
        Self {
            quic,
            running: Box::pin(running),
            closing,
        }
    }
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Future for Http3 {
    type Output = Result<(), ConnectionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.running.as_mut().poll(cx)
    }
}

impl Protocol for Http3 {
    type Error = ConnectionError;

    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.closing.notify_one();
    }

    /// GOAWAY asks for it, and a request that crosses it is still answered.
    fn announces_end(&self) -> bool {
        true
    }

    fn close(self: Pin<&mut Self>) -> bool {
        self.quic.close(var_int(Code::H3_NO_ERROR.value()), b"");
        true
    }
}

/// Accepts the requests of one connection.
struct Requests {
    quic: quinn::Connection,
    context: Arc<ConnectionContext>,
    /// Facts of the connection, with the client's present address.
    info: Arc<ConnInfo>,
    last_accepted: LastAccepted,
    tasks: Tasks,
    closing: Arc<Notify>,
}

type ServerConnection = server::Connection<QuicConnection, Bytes>;

impl Requests {
    async fn answer(
        mut self,
        adapter: QuicConnection,
        most_fields: u64,
    ) -> Result<(), ConnectionError> {
        let mut builder = server::builder();
        builder
            .max_field_section_size(most_fields)
            .send_grease(false);
        let mut connection = builder.build(adapter).await?;
        let closing = Arc::clone(&self.closing);
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted? {
                    Some(resolver) => self.spawn(resolver),
                    None => return Ok(()),
                },
                () = closing.notified() => break,
            }
            if self.context.handler.resets.is_flood() {
                self.refusals().count(Reason::Http3Flood);
                break;
            }
        }
        self.close(connection).await
    }

    fn refusals(&self) -> &WorkerRefusals {
        self.context.handler.service.refusals()
    }

    /// Tells the client that the connection closes. Answers the requests that run or are on their way.
    async fn close(mut self, mut connection: ServerConnection) -> Result<(), ConnectionError> {
        let is_flood = self.context.handler.resets.is_flood();
        let on_their_way = if is_flood { 0 } else { ON_THEIR_WAY };
        connection.shutdown(on_their_way).await?;
        let mut arrived = Box::pin(sleep(LAST_ARRIVAL.max(2 * self.quic.rtt())));
        let streams = Arc::clone(&self.context.streams);
        let mut has_arrived = false;
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted? {
                    Some(resolver) => self.spawn(resolver),
                    None => return Ok(()),
                },
                () = &mut arrived, if !has_arrived => {
                    has_arrived = true;
                    connection.shutdown(0).await?;
                }
                () = streams.all_ended(), if has_arrived => {
                    let code = if is_flood { Code::H3_EXCESSIVE_LOAD } else { Code::H3_NO_ERROR };
                    self.quic.close(var_int(code.value()), b"");
                    return Ok(());
                }
            }
        }
    }

    /// Has a task answer a request.
    fn spawn(&mut self, resolver: server::RequestResolver<QuicConnection, Bytes>) {
        let Some(control) = self.last_accepted.lock().take() else {
            return;
        };
        let accepted = AcceptedStream {
            resolver,
            control,
            info: self.info(),
            open: self.context.streams.open(),
        };
        let context = Arc::clone(&self.context);
        let answered = boxed(|| request_stream::serve(context, accepted));
        self.tasks.spawn(answered);
    }

    /// Returns the facts of the connection. The client may have moved to another address.
    fn info(&mut self) -> Arc<ConnInfo> {
        let address = self.quic.remote_address();
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if address != self.info.client {
            self.info = Arc::new(self.info.moved_to(address));
        }
        Arc::clone(&self.info)
    }
}
