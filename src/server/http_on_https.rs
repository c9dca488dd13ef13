//! Plain HTTP on the HTTPS port: a mistyped URL gets a redirect or a sentence instead of a TLS alert.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, join, split};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::debug;

use super::connection::{Http, ReceivedBytes, RecordedReads};
use super::https_location::{host, https_location, site_of};
use super::https_ports::DEFAULT_PORT;
use super::lingering_close::LingeringClose;
use crate::proxy::{ConnInfo, CutTarget, DirectResponse, Reason, RejectedEarly};
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
    pub(super) http1: &'h http1::Builder,
    pub(super) conn: &'h ConnInfo,
    /// Bytes that `http1` may hold while it waits for the rest of a head.
    pub(super) most_held: usize,
    /// Port of the listener.
    pub(super) port: u16,
}

impl HttpOnHttps<'_> {
    /// Answers. Returns the stream, unless it failed, since the client may not have sent all of its request.
    pub(super) async fn serve(self, stream: TcpStream) -> Option<LingeringClose> {
        let is_redirected = AtomicBool::new(false);
        let received = ReceivedBytes::new(self.most_held);
        let (inner, writes) = split(Uninterrupted::new(stream));
        let reads = RecordedReads {
            inner,
            received: Arc::clone(&received),
        };
        let service = service_fn(|mut request: Request<Incoming>| {
            if received.is_cut(request.uri()) {
                request.extensions_mut().insert(CutTarget);
            }
            let response = self.redirect(&request);
            is_redirected.store(response.is_some(), Ordering::Relaxed);
            let response = response.unwrap_or_else(explanation);
            ready(Ok::<_, Infallible>(response))
        });
        let mut connection = self
            .http1
            .serve_connection(TokioIo::new(join(reads, writes)), service);
        // A request that is refused ends with an error, after its answer.
        let served = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
        debug!(?served, "plain HTTP on the HTTPS port");
        if !is_redirected.load(Ordering::Relaxed) {
            let rejected = RejectedEarly {
                version: Version::HTTP_11,
                status: StatusCode::BAD_REQUEST,
                reason: Reason::PlainHttp,
            };
            self.http.note_rejected_early(self.conn, rejected);
        }
        let mut stream = connection.into_parts().io.into_inner();
        stream.shutdown().await.ok()?;
        Some(LingeringClose::new(stream, Instant::now()))
    }

    /// Redirects a request for the host of a site to the port that the client has asked. The port in the request's host
    /// is the one that the client sees, also where a machine in between maps ports.
    fn redirect(&self, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
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
        if let Some(log) = current_router.access_log().filter(|_| site.is_logged()) {
            let sent = DirectResponse {
                status,
                bytes: 0,
                reason: None,
            };
            log.note(request, self.conn.client, sent);
        }
        site.figures.begin(self.http.worker()).answered(status);
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response.headers_mut().insert(LOCATION, location);
        Some(response)
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
