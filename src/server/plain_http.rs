//! Plain HTTP connections, on port 80: answers the proxy's own challenges, and redirects the hosts of sites to HTTPS. No
//! request ever reaches a backend.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tracing::{Instrument, debug_span};

use super::accept::Accepted;
use super::connection::{
    Deadlines, Driver, ReceivedBytes, RequestMark, TrackedBody, TrackedStream, http1_builder,
    most_held,
};
use super::https_location::https_location;
use super::options::Limits;
use crate::certs::challenge::Http01Tokens;
use crate::proxy::{
    ConnInfo, CurrentRouter, CutTarget, DirectResponse, Reason, TrustedProxies, WorkerRefusals,
};
use crate::tasks::Shutdown;
use crate::uninterrupted::Uninterrupted;

const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Serves plain HTTP connections.
#[derive(Debug)]
pub struct PlainHttp {
    tokens: Arc<Http01Tokens>,
    current_router: Arc<CurrentRouter>,
    https_port: u16,
    limits: Limits,
    http1: http1::Builder,
    trust: Arc<TrustedProxies>,
    refusals: Arc<WorkerRefusals>,
}

/// An answer, and whether it is counted and logged.
struct Answer {
    response: Response<Full<Bytes>>,
    reason: Option<Reason>,
    is_logged: bool,
}

impl PlainHttp {
    /// Answers challenges from `tokens`, and redirects the hosts of `current_router` to `https_port`.
    #[must_use]
    pub fn new(
        tokens: Arc<Http01Tokens>,
        current_router: Arc<CurrentRouter>,
        https_port: u16,
        limits: Limits,
    ) -> Self {
        let http1 = http1_builder(&limits);
        Self {
            tokens,
            current_router,
            https_port,
            limits,
            http1,
            trust: Arc::default(),
            refusals: Arc::default(),
        }
    }

    /// Believes the forwarding headers of the peers in `trust`.
    #[must_use]
    pub fn trusting(self, trust: Arc<TrustedProxies>) -> Self {
        Self { trust, ..self }
    }

    /// Counts refusals in `refusals`.
    #[must_use]
    pub fn counting(self, refusals: Arc<WorkerRefusals>) -> Self {
        Self { refusals, ..self }
    }

    /// Serves one connection until it is over, a deadline is missed or the process stops.
    pub async fn serve(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let (peer, local) = (accepted.peer, accepted.local);
        let span = debug_span!("connection", client.addr = %peer, server.addr = %local);
        self.serve_http(accepted, &shutdown).instrument(span).await;
    }

    async fn serve_http(&self, accepted: Accepted, shutdown: &Shutdown) {
        let deadlines = Deadlines::new(false);
        let driver = Driver {
            deadlines: &deadlines,
            limits: &self.limits,
            shutdown,
            refusals: &self.refusals,
        };
        let mut conn = ConnInfo::new(accepted.peer, None).reaching(accepted.local);
        if accepted.is_trusted {
            conn = conn.trusting(Arc::clone(&self.trust));
        }
        let stream = Uninterrupted::new(accepted.stream);
        let received = ReceivedBytes::new(most_held(&self.limits));
        let stream = TrackedStream::new(stream, Arc::clone(&deadlines), accepted.slot)
            .recording_reads(Arc::clone(&received));
        let service = service_fn(|mut request: Request<Incoming>| {
            if received.is_cut(request.uri()) {
                request.extensions_mut().insert(CutTarget);
            }
            let mark = RequestMark::new(Arc::clone(&deadlines));
            let response = self.answer(&request, &conn);
            async move { Ok::<_, Infallible>(response.map(|body| TrackedBody::new(body, mark))) }
        });
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let error = driver.drive(Box::pin(connection)).await;
        let rejected = error.and_then(|error| error.rejected_early(deadlines.is_reading_head()));
        if let Some(rejected) = rejected {
            self.refusals.count(rejected.reason);
            if let Some(log) = self.current_router.access_log() {
                log.note_rejected_early(conn.client, rejected);
            }
        }
    }

    fn answer(&self, request: &Request<Incoming>, conn: &ConnInfo) -> Response<Full<Bytes>> {
        let challenge = request.uri().path().strip_prefix(CHALLENGES);
        let Answer {
            response,
            reason,
            is_logged,
        } = challenge
            .filter(|_| request.extensions().get::<CutTarget>().is_none())
            .and_then(|token| self.challenge(request.method(), token))
            .unwrap_or_else(|| self.redirect(request, challenge.is_some()));
        if let Some(reason) = reason {
            self.refusals.count(reason);
        }
        if is_logged && let Some(log) = self.current_router.access_log() {
            let sent = match *request.method() {
                Method::HEAD => 0,
                _ => response.body().size_hint().exact().unwrap_or_default(),
            };
            let sent = DirectResponse {
                status: response.status(),
                bytes: sent,
                reason,
            };
            log.note(request, conn.client_addr(request.headers()), sent);
        }
        response
    }

    /// Answers with the key authorization of a pending challenge (RFC 8555 section 8.3). `None` for other tokens, which
    /// may be those of an ACME client behind the proxy.
    fn challenge(&self, method: &Method, token: &str) -> Option<Answer> {
        let key_authorization = self.tokens.answer(token)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(Answer::refusal(response, Reason::Method));
        }
        Some(Answer {
            response: page(StatusCode::OK, key_authorization),
            reason: None,
            is_logged: true,
        })
    }

    fn redirect(&self, request: &Request<Incoming>, is_challenge: bool) -> Answer {
        let router = self.current_router.snapshot();
        match https_location(request, &router, self.https_port) {
            Ok((location, site)) => {
                let mut response = page(StatusCode::PERMANENT_REDIRECT, "");
                response.headers_mut().insert(LOCATION, location);
                Answer {
                    response,
                    reason: None,
                    is_logged: site.is_logged(),
                }
            }
            Err(Reason::UnknownHost) if is_challenge => {
                let response = page(StatusCode::NOT_FOUND, "no such challenge\n");
                Answer::refusal(response, Reason::UnknownChallenge)
            }
            Err(reason) => {
                let (status, text) = match reason {
                    Reason::Connect => (StatusCode::METHOD_NOT_ALLOWED, "no tunnels here\n"),
                    Reason::Host => (StatusCode::BAD_REQUEST, "one valid Host is needed\n"),
                    Reason::UnknownHost => (StatusCode::NOT_FOUND, "no such site\n"),
                    _ => (StatusCode::BAD_REQUEST, "a valid target is needed\n"),
                };
                Answer::refusal(page(status, text), reason)
            }
        }
    }
}

impl Answer {
    fn refusal(response: Response<Full<Bytes>>, reason: Reason) -> Self {
        Self {
            response,
            reason: Some(reason),
            is_logged: true,
        }
    }
}

fn page(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
