//! HTTP/1.1 and HTTP/2 on one byte stream, answered by one service.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::Either;
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite};

use super::client_resets::ClientResets;
use super::connection_error::ConnectionError;
use super::deadlines::Deadlines;
use super::driver::Driver;
use super::http1::{Http1, Http1Service, head_limits};
use super::http2::{self, Http2};
use super::request_handler::RequestHandler;
use super::tracked_stream::TrackedStream;
use crate::figures::{ClientProtocol, OpenConnection, WorkerConnections};
use crate::memory::ConnectionMemory;
use crate::per_worker::CachePadded;
use crate::proxy::{ConnInfo, CurrentRouter, ProxyService, RejectedEarly, WorkerRefusals};
use crate::server::accept::ConnectionSlot;
use crate::server::current_date::CurrentDate;
use crate::server::direct_responder::DirectResponder;
use crate::server::options::Limits;
use crate::tasks::{Shutdown, Tasks};

/// Serves HTTP connections.
pub struct Http {
    service: ProxyService,
    limits: Limits,
    http2: h2::server::Builder,
    tasks: Tasks,
    date: Arc<CurrentDate>,
    /// Answers some requests instead of the service, if connections are plain HTTP.
    direct: Option<Arc<DirectResponder>>,
    figures: Arc<CachePadded<WorkerConnections>>,
}

/// A connection to serve HTTP on.
#[derive(Debug)]
pub struct HttpConnection<S> {
    /// The byte stream, after any TLS handshake.
    pub stream: S,
    /// `true` for HTTP/2, `false` for HTTP/1.1.
    pub is_h2: bool,
    /// Facts about the connection.
    pub info: ConnInfo,
    /// Its slot among the open connections. A tunnel keeps it to its end.
    pub slot: ConnectionSlot,
}

impl Http {
    /// Has `service` answer requests within `limits`. Each HTTP/2 stream is one of `tasks`.
    #[must_use]
    pub fn new(service: ProxyService, limits: Limits, tasks: Tasks) -> Self {
        Self {
            service,
            http2: http2::builder(&limits),
            limits,
            tasks,
            date: Arc::default(),
            direct: None,
            figures: Arc::default(),
        }
    }

    /// Has `direct` answer the requests that do not go to the service.
    #[must_use]
    pub fn answering(self, direct: DirectResponder) -> Self {
        Self {
            direct: Some(Arc::new(direct)),
            ..self
        }
    }

    /// Counts connections in `figures`.
    #[must_use]
    pub fn counting(self, figures: Arc<CachePadded<WorkerConnections>>) -> Self {
        Self { figures, ..self }
    }

    /// Returns the counters of connections and handshakes.
    pub(in crate::server) fn figures(&self) -> &WorkerConnections {
        &self.figures
    }

    /// Returns the counters for connections that count themselves.
    pub(in crate::server) fn shared_figures(&self) -> &Arc<CachePadded<WorkerConnections>> {
        &self.figures
    }

    /// Returns the limits of connections.
    pub(in crate::server) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the tasks of streams.
    pub(in crate::server) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Returns the service's routers and access log.
    pub(in crate::server) fn current_router(&self) -> &Arc<CurrentRouter> {
        self.service.current_router()
    }

    /// Returns the value of the field `Date` for a response that has none.
    pub(in crate::server) fn date(&self) -> HeaderValue {
        self.date.value()
    }

    /// Returns the number of the worker.
    pub(in crate::server) fn worker(&self) -> usize {
        self.service.worker()
    }

    /// Counts a connection that was refused before its first request, and logs it.
    pub(in crate::server) fn note_rejected_early(&self, conn: &ConnInfo, rejected: RejectedEarly) {
        self.service.note_rejected_early(conn, rejected);
    }

    /// Returns the counters of refusals.
    pub(in crate::server) fn refusals(&self) -> &WorkerRefusals {
        self.service.refusals()
    }

    /// Counts a connection as open.
    fn opened(&self, info: &ConnInfo, is_h2: bool) -> OpenConnection {
        let protocol = match (info.is_tls, is_h2) {
            (false, _) => ClientProtocol::PlainHttp1,
            (true, false) => ClientProtocol::Http1,
            (true, true) => ClientProtocol::Http2,
        };
        OpenConnection::new(&self.figures, protocol)
    }

    /// Returns the handler of one connection's requests, which tells clients of a `shutdown` in the responses.
    pub(in crate::server) fn request_handler(
        &self,
        info: ConnInfo,
        slot: &ConnectionSlot,
        deadlines: Arc<Deadlines>,
        shutdown: Option<Shutdown>,
    ) -> Arc<RequestHandler> {
        let memory = ConnectionMemory::new(Arc::clone(&slot.shares().memory));
        let resets = ClientResets::new(info.is_trusted());
        Arc::new(RequestHandler {
            service: self.service.clone(),
            direct: self.direct.clone(),
            info: Arc::new(info.holding(Arc::clone(&memory))),
            deadlines,
            memory,
            resets,
            date: Arc::clone(&self.date),
            body_timeout: self.limits.body_timeout,
            shutdown,
        })
    }

    /// Serves one connection until it is over, a deadline is missed or the process stops.
    ///
    /// Not an `async fn`: its future would have room for the stream, and so would the task of each connection. The stream is
    /// boxed before the future begins.
    pub fn serve<S>(
        &self,
        connection: HttpConnection<S>,
        shutdown: &Shutdown,
    ) -> impl Future<Output = ()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let HttpConnection {
            stream,
            is_h2,
            info,
            slot,
        } = connection;
        let counted = self.opened(&info, is_h2);
        let deadlines = Deadlines::new(is_h2);
        let told = (!is_h2).then(|| shutdown.clone());
        let request_handler = self.request_handler(info, &slot, Arc::clone(&deadlines), told);
        let stream = TrackedStream::new(stream, Arc::clone(&deadlines), slot).counted(counted);
        let handler = Arc::clone(&request_handler);
        let protocol = if is_h2 {
            let http2 = Http2::new(&self.http2, stream, handler, &self.tasks);
            Either::Left(Box::pin(http2))
        } else {
            let stream = stream.awaiting_answers(self.limits.body_timeout);
            let service = Http1Service(handler);
            let http1 = Http1::new(stream, service, head_limits(&self.limits));
            Either::Right(Box::pin(http1))
        };
        async move {
            let driver = Driver {
                deadlines: &deadlines,
                limits: &self.limits,
                shutdown,
                refusals: self.refusals(),
            };
            let ended = match protocol {
                Either::Left(http2) => driver.drive(http2).await,
                Either::Right(http1) => driver.drive(http1).await,
            };
            if let Some(error) = ended.error {
                self.count_end(&error, &request_handler);
            }
            if let Some(lingering) = ended.lingering {
                // Boxed: few connections need it.
                Box::pin(lingering.discard(shutdown)).await;
            }
        }
    }

    /// Counts the end of a connection if it is a refusal or a response that broke off.
    pub(in crate::server) fn count_end(&self, error: &ConnectionError, handler: &RequestHandler) {
        if let Some(rejected) = error.rejected_early(handler.deadlines.is_reading_head()) {
            self.service.note_rejected_early(&handler.info, rejected);
        }
        if let Some(reason) = error.broken_response() {
            self.refusals().count(reason);
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
