//! The HTTPS door: TLS, then HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Version};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Instrument, debug, debug_span};

use super::crowd::Place;
use super::http::{Http, HttpConnection};
use super::{Client, Limits, reason, stray_http};
use crate::proxy::{
    ClientCertificate, ClientIdentity, ConnInfo, ProxyService, Reason, RejectedEarly,
    TrustedProxies,
};
use crate::tasks::{Shutdown, Tasks};
use crate::tls;

/// What the HTTPS door is built from.
#[derive(Debug)]
pub struct HttpsParts {
    /// Makes TLS connections.
    pub acceptor: Arc<tls::Acceptor>,
    /// Answers requests.
    pub service: ProxyService,
    /// What a client may take.
    pub limits: Limits,
    /// Runs the streams of HTTP/2 connections.
    pub tasks: Tasks,
    /// The peers that may say for whom they speak.
    pub trust: Arc<TrustedProxies>,
    /// Whether backends are told of their clients in the field Forwarded too.
    pub has_forwarded: bool,
}

/// Serves HTTPS connections.
#[derive(Debug)]
pub struct Https {
    acceptor: Arc<tls::Acceptor>,
    http: Http,
    limits: Limits,
    trust: Arc<TrustedProxies>,
    has_forwarded: bool,
}

/// How long a handshake may go on when the process stops: it is over soon, or its client is silent
/// or waits for a certificate.
const LAST_HANDSHAKES: Duration = Duration::from_secs(1);

async fn stopped(shutdown: &Shutdown) {
    shutdown.requested().await;
    tokio::time::sleep(LAST_HANDSHAKES).await;
}

impl Https {
    /// A door from its parts.
    #[must_use]
    pub fn new(parts: HttpsParts) -> Arc<Self> {
        let HttpsParts {
            acceptor,
            service,
            limits,
            tasks,
            trust,
            has_forwarded,
        } = parts;
        Arc::new(Self {
            acceptor,
            http: Http::new(service, limits.clone(), tasks),
            limits,
            trust,
            has_forwarded,
        })
    }

    /// Serves one client until it leaves, is overdue, or the process stops.
    pub async fn serve(self: Arc<Self>, client: Client, shutdown: Shutdown) {
        let Client {
            stream,
            peer,
            local,
            place,
            is_trusted,
        } = client;
        let span = debug_span!("connection", client.addr = %peer, server.addr = %local);
        let served = async move {
            // On the heap and dropped at once: what a handshake takes is many times what a connection
            // holds on to, and a task is as large as the largest of its phases.
            let handshake = Box::pin(self.handshake(stream, (peer, local), &shutdown));
            if let Some(accepted) = handshake.await {
                let conn = ConnInfo::new(peer, None).reaching(local);
                let conn = self.facts(conn, is_trusted);
                self.serve_http(accepted, conn, place, &shutdown).await;
            }
        };
        served.instrument(span).await;
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        addresses: (SocketAddr, SocketAddr),
        shutdown: &Shutdown,
    ) -> Option<Box<tls::Accepted<TcpStream>>> {
        tokio::select! {
            accepted = self.accept(stream, addresses) => accepted.map(Box::new),
            () = stopped(shutdown) => {
                debug!("handshake ended by the drain");
                None
            }
        }
    }

    async fn accept(
        &self,
        stream: TcpStream,
        (peer, local): (SocketAddr, SocketAddr),
    ) -> Option<tls::Accepted<TcpStream>> {
        let (patience, refusals) = (self.limits.handshake_timeout, self.http.refusals());
        match timeout(patience, stray_http::is_http(&stream)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => {
                let conn = ConnInfo::new(peer, None).reaching(local);
                let unread = RejectedEarly {
                    version: Version::HTTP_11,
                    status: StatusCode::BAD_REQUEST,
                    reason: Reason::PlainHttp,
                };
                self.http.note_rejected_early(&conn, unread);
                let refused = timeout(patience, stray_http::refuse(stream)).await;
                debug!(?refused, "plain HTTP at the HTTPS door");
                return None;
            }
            silent => {
                debug!(?silent, "no TLS connection");
                refusals.count(match silent {
                    Ok(_) => Reason::HandshakeLeft,
                    Err(_) => Reason::HandshakeTimeout,
                });
                return None;
            }
        }
        let accepted = self.acceptor.accept(stream, peer, local).await;
        let refused = |error: &tls::Error| {
            debug!(%error, "no TLS connection");
            refusals.count(reason::handshake(error));
        };
        accepted.inspect_err(refused).ok().flatten()
    }

    /// What is known of a connection apart from its handshake.
    fn facts(&self, conn: ConnInfo, is_trusted: bool) -> ConnInfo {
        let conn = match is_trusted {
            true => conn.trusting(Arc::clone(&self.trust)),
            false => conn,
        };
        match self.has_forwarded {
            true => conn.with_forwarded(),
            false => conn,
        }
    }

    /// Not a future of its own, which would have room for the stream.
    fn serve_http(
        &self,
        accepted: Box<tls::Accepted<TcpStream>>,
        mut conn: ConnInfo,
        place: Place,
        shutdown: &Shutdown,
    ) -> impl Future<Output = ()> {
        let tls::Accepted {
            stream,
            sni,
            is_h2,
            is_tls13,
            client,
        } = {
            // The box ends here, and not with the connection.
            let accepted = accepted;
            *accepted
        };
        conn.sni = sni;
        conn.is_tls13 = is_tls13;
        if let Some(client) = client {
            conn = conn.identified(identity(*client));
        }
        let connection = HttpConnection {
            stream,
            is_h2,
            info: conn,
            place,
        };
        self.http.serve(connection, shutdown)
    }
}

fn identity(client: tls::AskedClient) -> ClientIdentity {
    let tls::AskedClient {
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
