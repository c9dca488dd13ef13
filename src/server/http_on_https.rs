//! Plain HTTP on the HTTPS port: a mistyped URL gets a redirect or a sentence instead of a TLS alert.

use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::Full;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::debug;

use super::connection::Http;
use super::https_location::{host, https_location, site_of};
use super::https_ports::DEFAULT_PORT;
use super::lingering_close::LingeringClose;
use crate::http1::{HeadLimits, IncomingBody, ResponseFuture, ServerConnection, Service};
use crate::proxy::{ConnInfo, DirectResponse, Reason, RejectedEarly};
use crate::uninterrupted::{Uninterrupted, peek};

/// Whether a client begins with the method of an HTTP request. The first byte of TLS is 22, which is no letter.
pub(super) async fn is_http(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0];
    let len = peek(stream, &mut first).await?;
    Ok(len == 1 && first[0].is_ascii_uppercase())
}

/// Answers one plain HTTP request at the HTTPS listener.
#[derive(Clone, Copy)]
pub(super) struct HttpOnHttps<'h> {
    pub(super) http: &'h Http,
    pub(super) head_limits: HeadLimits,
    pub(super) conn: &'h ConnInfo,
    /// Port of the listener.
    pub(super) port: u16,
}

impl HttpOnHttps<'_> {
    /// Answers. Returns the stream, unless it failed, since the client may not have sent all of its request.
    pub(super) async fn serve(self, stream: TcpStream) -> Option<LingeringClose> {
        let is_redirected = AtomicBool::new(false);
        let service = OneAnswer {
            on_https: self,
            is_redirected: &is_redirected,
        };
        let stream = Uninterrupted::new(stream);
        let mut connection =
            ServerConnection::new(stream, service, self.head_limits).answering_once();
        // A request that is refused ends with an error, after its answer.
        let served = (&mut connection).await;
        debug!(?served, "plain HTTP on the HTTPS port");
        if !is_redirected.load(Ordering::Relaxed) {
            let rejected = RejectedEarly {
                version: Version::HTTP_11,
                status: StatusCode::BAD_REQUEST,
                reason: Reason::PlainHttp,
            };
            self.http.note_rejected_early(self.conn, rejected);
        }
        let (mut stream, _) = connection.into_stream()?;
        stream.shutdown().await.ok()?;
        Some(LingeringClose::new(stream, Instant::now()))
    }

    /// Redirects a request for the host of a site to the port that the client has asked. The port in the request's host
    /// is the one that the client sees, also where a machine in between maps ports.
    fn redirect(&self, request: &Request<IncomingBody>) -> Option<Response<Full<Bytes>>> {
        let named = host(request)?.rsplit_once(':').map(|(_, port)| port);
        let port = named
            .and_then(|port| port.parse().ok())
            .unwrap_or(self.port);
        // No redirect could lead anywhere else than where the client has been.
        if port == DEFAULT_PORT {
            return None;
        }
        let current_router = self.http.current_router();
        let router = current_router.snapshot();
        let listener = self.conn.listener;
        let site = site_of(request, &router, listener).ok()?;
        if !site.http.is_served(true) {
            return None;
        }
        let location = https_location(request, port).ok()?;
        let status = StatusCode::PERMANENT_REDIRECT;
        let sent = DirectResponse {
            status,
            bytes: 0,
            reason: None,
            is_logged: site.is_logged(),
        };
        current_router.observer().note(request, self.conn, sent);
        site.figures.begin(self.http.worker()).answered(status);
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response.headers_mut().insert(LOCATION, location);
        Some(response)
    }
}

/// Answers the one request of a connection.
struct OneAnswer<'h> {
    on_https: HttpOnHttps<'h>,
    is_redirected: &'h AtomicBool,
}

impl Service for OneAnswer<'_> {
    type Body = Full<Bytes>;

    fn call(&self, request: Request<IncomingBody>) -> ResponseFuture<Full<Bytes>> {
        let response = self.on_https.redirect(&request);
        self.is_redirected
            .store(response.is_some(), Ordering::Relaxed);
        Box::pin(ready(response.unwrap_or_else(explanation)))
    }

    fn date(&self) -> HeaderValue {
        self.on_https.http.date()
    }
}

/// Says that the port speaks HTTPS.
fn explanation() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("This port speaks HTTPS.\n"));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
