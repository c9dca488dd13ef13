//! The port-80 door: challenges first, then the way to https for hosts that are ours; nothing is
//! ever proxied.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tracing::{Instrument, debug_span};

use super::activity::Activity;
use super::connection::{self, Watch, drive};
use super::tracked_body::{RequestMark, TrackedBody};
use super::watched::Watched;
use super::{Client, Limits};
use crate::certs::challenge::Http01Tokens;
use crate::proxy::{
    ConnInfo, CurrentRouter, DirectResponse, Reason, TrustedProxies, WorkerRefusals, to_https,
};
use crate::tasks::Shutdown;

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

/// An answer, and what is noted of it.
struct Answer {
    response: Response<Full<Bytes>>,
    reason: Option<Reason>,
    is_logged: bool,
}

impl PlainHttp {
    /// A door that answers from `tokens` and redirects the hosts of `current_router` to `https_port`.
    #[must_use]
    pub fn new(
        tokens: Arc<Http01Tokens>,
        current_router: Arc<CurrentRouter>,
        https_port: u16,
        limits: Limits,
    ) -> Self {
        let http1 = connection::http1(&limits);
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

    /// The same door, where those of `trust` say for whom they speak.
    #[must_use]
    pub fn trusting(self, trust: Arc<TrustedProxies>) -> Self {
        Self { trust, ..self }
    }

    /// The same door, whose refusals are counted in `refusals`.
    #[must_use]
    pub fn counting(self, refusals: Arc<WorkerRefusals>) -> Self {
        Self { refusals, ..self }
    }

    /// Serves one client until it leaves, is overdue, or the process stops.
    pub async fn serve(self: Arc<Self>, client: Client, shutdown: Shutdown) {
        let span =
            debug_span!("connection", client.addr = %client.peer, server.addr = %client.local);
        self.converse(client, &shutdown).instrument(span).await;
    }

    async fn converse(&self, client: Client, shutdown: &Shutdown) {
        let activity = Activity::new(false);
        let watch = Watch {
            activity: &activity,
            limits: &self.limits,
            shutdown,
            refusals: &self.refusals,
        };
        let conn = ConnInfo::new(client.peer, None).reaching(client.local);
        let conn = match client.is_trusted {
            true => conn.trusting(Arc::clone(&self.trust)),
            false => conn,
        };
        let stream = Watched::new(client.stream, Arc::clone(&activity), client.place);
        let service = service_fn(|request| {
            let mark = RequestMark::new(Arc::clone(&activity));
            let response = self.answer(&request, &conn);
            async move { Ok::<_, Infallible>(response.map(|body| TrackedBody::new(body, mark))) }
        });
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let broken = drive(Box::pin(connection), watch).await;
        let unread = broken.and_then(|broken| connection::unread(&broken, &activity));
        if let Some(unread) = unread {
            self.refusals.count(unread.reason);
            if let Some(log) = self.current_router.access_log() {
                log.note_rejected_early(conn.client, unread);
            }
        }
    }

    fn answer(&self, request: &Request<Incoming>, conn: &ConnInfo) -> Response<Full<Bytes>> {
        let Answer {
            response,
            reason,
            is_logged,
        } = match request.uri().path().strip_prefix(CHALLENGES) {
            Some(token) => self.challenge(request.method(), token),
            None => self.redirect(request),
        };
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

    /// RFC 8555 section 8.3: the key authorization for a token that is under way.
    fn challenge(&self, method: &Method, token: &str) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Answer::refusal(response, Reason::Method);
        }
        match self.tokens.answer(token) {
            Some(key_authorization) => Answer {
                response: page(StatusCode::OK, key_authorization),
                reason: None,
                is_logged: true,
            },
            None => {
                let response = page(StatusCode::NOT_FOUND, "no such challenge\n");
                Answer::refusal(response, Reason::UnknownChallenge)
            }
        }
    }

    fn redirect(&self, request: &Request<Incoming>) -> Answer {
        let uri = request.uri();
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => request
                .headers()
                .get(HOST)
                .and_then(|host| host.to_str().ok()),
        };
        if *request.method() == Method::CONNECT {
            let response = page(StatusCode::METHOD_NOT_ALLOWED, "no tunnels here\n");
            return Answer::refusal(response, Reason::Connect);
        }
        let is_single = request.headers().get_all(HOST).iter().nth(1).is_none();
        if host.is_none() || !is_single {
            let response = page(StatusCode::BAD_REQUEST, "one valid Host is needed\n");
            return Answer::refusal(response, Reason::Host);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let router = self.current_router.snapshot();
        let found = host.and_then(|host| {
            let (target, site) = to_https(&router, host, path, self.https_port)?;
            Some((HeaderValue::try_from(target).ok()?, site))
        });
        match found {
            Some((location, site)) => {
                let mut response = page(StatusCode::PERMANENT_REDIRECT, "");
                response.headers_mut().insert(LOCATION, location);
                Answer {
                    response,
                    reason: None,
                    is_logged: site.is_logged(),
                }
            }
            None => {
                let response = page(StatusCode::NOT_FOUND, "no such site\n");
                Answer::refusal(response, Reason::UnknownHost)
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
