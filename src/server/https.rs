//! The HTTPS door: TLS, then HTTP/1.1 or HTTP/2 into the one service.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Instrument, debug, debug_span};

use super::activity::Activity;
use super::connection::{self, Watch, drive};
use super::crowd::Place;
use super::executor::TaskExecutor;
use super::http1::Http1;
use super::tracked_body::{RequestMark, TrackedBody};
use super::watched::Watched;
use super::{Client, Limits};
use super::{reason, stray_http};
use crate::proxy::{
    Body, ClientCertificate, ClientIdentity, ConnInfo, Hold, ProxyService, Reason, Trust,
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
    pub trust: Arc<Trust>,
    /// Whether backends are told of their clients in the field Forwarded too.
    pub has_forwarded: bool,
}

/// Serves HTTPS connections.
#[derive(Debug)]
pub struct Https {
    acceptor: Arc<tls::Acceptor>,
    service: ProxyService,
    limits: Limits,
    http1: http1::Builder,
    http2: http2::Builder<TaskExecutor>,
    trust: Arc<Trust>,
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
        let (http1, http2) = (
            connection::http1(&limits),
            connection::http2(&limits, tasks),
        );
        Arc::new(Self {
            acceptor,
            service,
            limits,
            http1,
            http2,
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
        let (patience, tally) = (self.limits.handshake_timeout, self.service.tally());
        match timeout(patience, stray_http::is_http(&stream)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => {
                tally.count(Reason::PlainHttp);
                let refused = timeout(patience, stray_http::refuse(stream)).await;
                debug!(?refused, "plain HTTP at the HTTPS door");
                return None;
            }
            silent => {
                debug!(?silent, "no TLS connection");
                tally.count(match silent {
                    Ok(_) => Reason::HandshakeLeft,
                    Err(_) => Reason::HandshakeTimeout,
                });
                return None;
            }
        }
        let accepted = self.acceptor.accept(stream, peer, local).await;
        let refused = |error: &tls::Error| {
            debug!(%error, "no TLS connection");
            tally.count(reason::handshake(error));
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

    async fn serve_http(
        &self,
        accepted: Box<tls::Accepted<TcpStream>>,
        mut conn: ConnInfo,
        place: Place,
        shutdown: &Shutdown,
    ) {
        let tls::Accepted {
            stream,
            sni,
            is_h2,
            client,
        } = {
            // The box ends here, and not with the connection.
            let accepted = accepted;
            *accepted
        };
        conn.sni = sni;
        if let Some(client) = client {
            conn = conn.identified(identity(*client));
        }
        let activity = Activity::new(is_h2);
        let exchanges = Arc::new(Exchanges {
            service: self.service.clone(),
            info: Arc::new(conn),
            activity: Arc::clone(&activity),
        });
        let watch = Watch {
            activity: &activity,
            limits: &self.limits,
            shutdown,
            tally: self.service.tally(),
        };
        let stream = Watched::new(stream, Arc::clone(&activity), place);
        let service = service_fn(|request| Arc::clone(&exchanges).call(request));
        let broken = match is_h2 {
            true => {
                let stream = TokioIo::new(stream);
                let connection = Box::pin(self.http2.serve_connection(stream, service));
                drive(connection, watch).await
            }
            false => {
                let connection = Box::pin(Http1::new(&self.http1, stream, service, &activity));
                drive(connection, watch).await
            }
        };
        if let Some((status, reason)) = broken.as_ref().and_then(connection::unread) {
            let Exchanges { service, info, .. } = &*exchanges;
            service.note_unread(info, status, reason);
        }
        if let Some(reason) = broken.as_ref().and_then(|broken| reason::http2(broken)) {
            self.service.tally().count(reason);
        }
    }
}

/// The future on the heap, without a copy of all the room that it may take later.
fn in_place<F>(future: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), future()))
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

/// The requests of one connection.
#[derive(Debug)]
struct Exchanges {
    service: ProxyService,
    info: Arc<ConnInfo>,
    activity: Arc<Activity>,
}

impl Exchanges {
    /// On the heap: hyper keeps room for one request's future for as long as a connection lives.
    fn call(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> BoxFuture<'static, Result<Response<TrackedBody<Body>>, Infallible>> {
        let mark = RequestMark::new(Arc::clone(&self.activity));
        if request.method() == Method::CONNECT {
            // A tunnel outlives its response, and the connection is in use for as long.
            let mark = RequestMark::new(Arc::clone(&self.activity));
            request.extensions_mut().insert(Hold::new(mark));
        }
        self.activity.has_body(!request.body().is_end_stream());
        in_place(|| async move {
            let response = self.service.call(request, &self.info).await;
            Ok(response.map(|body| TrackedBody::new(body, mark)))
        })
    }
}
