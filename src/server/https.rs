//! HTTPS connections over TCP: the TLS handshake under a deadline, then HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Instrument, debug, debug_span};

use super::accept::{Accepted, ConnectionSlot};
use super::alt_svc::AltSvc;
use super::connection::{Http, HttpConnection, head_limits};
use super::forwarding_rules::ForwardingRules;
use super::handshake_reason::handshake_reason;
use super::http_on_https::{self, HttpOnHttps};
use super::options::Limits;
use super::quic::transport_config;
use crate::figures::WorkerConnections;
use crate::listener_names::ListenerId;
use crate::per_worker::CachePadded;
use crate::proxy::{ClientCertificate, ClientIdentity, ConnInfo, ProxyService, Reason};
use crate::tasks::{Shutdown, Tasks};
use crate::tls;
use crate::uninterrupted::Uninterrupted;

/// The parts of [`Https`].
#[derive(Debug)]
pub struct HttpsParts {
    /// Does the TLS handshakes.
    pub acceptor: Arc<tls::Acceptor>,
    /// Answers requests.
    pub service: ProxyService,
    /// Limits of a connection.
    pub limits: Limits,
    /// The tasks of HTTP/2 streams.
    pub tasks: Tasks,
    /// Rules for the facts about clients.
    pub forwarding: ForwardingRules,
    /// Counters of the worker's connections and handshakes.
    pub figures: Arc<CachePadded<WorkerConnections>>,
    /// The fields by which clients over TCP learn of HTTP/3.
    pub alt_svc: Arc<AltSvc>,
}

/// Serves HTTPS connections.
#[derive(Debug)]
pub struct Https {
    pub(super) acceptor: Arc<tls::Acceptor>,
    pub(super) http: Http,
    /// Buffers of the connections of this worker.
    buffers: Arc<tls::StreamBuffers>,
    pub(super) limits: Limits,
    pub(super) forwarding: ForwardingRules,
    alt_svc: Arc<AltSvc>,
    /// Settings of QUIC connections.
    pub(super) transport: Arc<quinn::TransportConfig>,
}

/// Time for running handshakes to finish when the process stops. One that takes longer has a silent client, or waits for a
/// certificate.
pub(super) const HANDSHAKE_DRAIN: Duration = Duration::from_secs(1);

impl Https {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: HttpsParts) -> Arc<Self> {
        let HttpsParts {
            acceptor,
            service,
            limits,
            tasks,
            forwarding,
            figures,
            alt_svc,
        } = parts;
        Arc::new(Self {
            acceptor,
            buffers: Arc::default(),
            transport: transport_config(&limits),
            http: Http::new(service, limits.clone(), tasks).counting(figures),
            limits,
            forwarding,
            alt_svc,
        })
    }

    /// Serves one connection until it is over, a deadline is missed or the process stops.
    pub async fn serve(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let Accepted {
            stream,
            peer,
            local,
            slot,
            is_trusted,
            listener,
        } = accepted;
        let addresses = Addresses {
            peer,
            local,
            listener,
        };
        let span = debug_span!("connection", client.addr = %peer, server.addr = %local);
        let served = async move {
            // Boxed: a handshake needs many times the memory of a connection, and a task is as large as the largest of its
            // phases.
            let handshake = Box::pin(self.handshake(stream, addresses, &shutdown));
            if let Some(secured) = handshake.await {
                let conn = addresses.conn_info();
                let conn = self.forwarding.apply(conn, is_trusted, &slot);
                self.serve_http(secured, conn, slot, &shutdown).await;
            }
        };
        served.instrument(span).await;
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        addresses: Addresses,
        shutdown: &Shutdown,
    ) -> Option<Box<tls::Accepted<Uninterrupted<TcpStream>>>> {
        tokio::select! {
            accepted = self.accept(stream, addresses, shutdown) => accepted.map(Box::new),
            () = shutdown.overdue(HANDSHAKE_DRAIN) => {
                debug!("TLS handshake cut at shutdown");
                None
            }
        }
    }

    async fn accept(
        &self,
        stream: TcpStream,
        addresses: Addresses,
        shutdown: &Shutdown,
    ) -> Option<tls::Accepted<Uninterrupted<TcpStream>>> {
        let (limit, refusals) = (self.limits.handshake_timeout, self.http.refusals());
        match timeout(limit, http_on_https::is_http(&stream)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => {
                self.answer_http(stream, addresses, shutdown).await;
                return None;
            }
            failed => {
                debug!(?failed, "TLS handshake failed");
                refusals.count(match failed {
                    Ok(_) => Reason::HandshakeLeft,
                    Err(_) => Reason::HandshakeTimeout,
                });
                return None;
            }
        }
        let stream = Uninterrupted::new(stream);
        let accepted = self
            .acceptor
            .accept(
                stream,
                addresses.peer,
                addresses.local,
                addresses.listener,
                &self.buffers,
            )
            .await;
        let figures = self.http.figures();
        let failed = |error: &tls::Error| {
            debug!(%error, "TLS handshake failed");
            figures.failed_handshake();
            refusals.count(handshake_reason(error));
        };
        let accepted = accepted.inspect_err(failed).ok().flatten()?;
        figures.shook_hands(accepted.is_tls13, accepted.is_resumed);
        Some(accepted)
    }

    /// Answers plain HTTP on the HTTPS port. Boxed: few connections need it.
    async fn answer_http(&self, stream: TcpStream, addresses: Addresses, shutdown: &Shutdown) {
        let conn = addresses.conn_info();
        let answer = HttpOnHttps {
            http: &self.http,
            head_limits: head_limits(&self.limits),
            conn: &conn,
            port: addresses.local.port(),
        };
        let limit = self.limits.handshake_timeout;
        if let Ok(Some(lingering)) = timeout(limit, Box::pin(answer.serve(stream))).await {
            Box::pin(lingering.discard(shutdown)).await;
        }
    }

    /// Not an `async fn`: its future would have room for the stream.
    fn serve_http(
        &self,
        secured: Box<tls::Accepted<Uninterrupted<TcpStream>>>,
        mut conn: ConnInfo,
        slot: ConnectionSlot,
        shutdown: &Shutdown,
    ) -> impl Future<Output = ()> {
        let tls::Accepted {
            stream,
            sni,
            is_h2,
            is_tls13,
            is_resumed: _,
            client,
        } = {
            // Frees the box now, and not at the end of the connection.
            let secured = secured;
            *secured
        };
        conn.sni = sni;
        conn.is_tls13 = is_tls13;
        let alt_svc = self.alt_svc.of(conn.listener);
        conn = conn.with_alt_svc(alt_svc);
        if let Some(client) = client {
            conn = conn.identified(identity(*client));
        }
        let connection = HttpConnection {
            stream,
            is_h2,
            info: conn,
            slot,
        };
        self.http.serve(connection, shutdown)
    }
}

/// The two ends of a connection, and the listener that accepted it.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) listener: ListenerId,
}

impl Addresses {
    /// Returns the facts about the connection that do not come from its handshake.
    pub(super) fn conn_info(self) -> ConnInfo {
        ConnInfo::new(self.peer, None)
            .reaching(self.local)
            .accepted_by(self.listener)
    }
}

pub(super) fn identity(client: tls::ClientFacts) -> ClientIdentity {
    let tls::ClientFacts {
        policy,
        certificate,
    } = client;
    let certificate = certificate.map(|certificate| ClientCertificate {
        subject: certificate.subject,
        fingerprint: certificate.fingerprint,
        base64: certificate.base64,
    });
    ClientIdentity::new(policy, certificate)
}
