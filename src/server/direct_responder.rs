//! Requests over plain HTTP that are answered without the proxy service: the proxy's own challenges, redirects to HTTPS, and
//! hosts of no site.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;

use super::https_location::{https_location, site_of};
use super::https_ports::{DEFAULT_PORT, HttpsPorts};
use crate::certs::challenge::Http01Tokens;
use crate::figures::CountedRequest;
use crate::http1::CutTarget;
use crate::listener_names::ListenerId;
use crate::proxy::{Body, ConnInfo, CurrentRouter, DirectResponse, Reason, Router, WorkerRefusals};

const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Answers requests over plain HTTP that do not go to the proxy service.
#[derive(Debug)]
pub struct DirectResponder {
    /// Challenges that are pending.
    pub tokens: Arc<Http01Tokens>,
    /// Routers that know the hosts of sites.
    pub current_router: Arc<CurrentRouter>,
    /// Counters of refusals.
    pub refusals: Arc<WorkerRefusals>,
    /// Number of the worker.
    pub worker: usize,
    /// Ports to which requests are redirected.
    pub https_ports: Arc<HttpsPorts>,
}

/// An answer, and whether it is counted and logged.
struct Answer {
    response: Response<Body>,
    reason: Option<Reason>,
    is_logged: bool,
    /// Figures of the request, if a site is meant.
    counted: Option<CountedRequest>,
}

impl DirectResponder {
    /// Answers a request. `None` if its site is served over plain HTTP, so that the service answers. `other` is the key
    /// authorization if another process has published the token.
    pub(super) fn respond<B>(
        &self,
        request: &Request<B>,
        conn: &ConnInfo,
        other: Option<String>,
    ) -> Option<Response<Body>> {
        let router = self.current_router.current(self.worker);
        let challenge = request.uri().path().strip_prefix(CHALLENGES);
        let own = token_of(request)
            .and_then(|token| other.or_else(|| self.tokens.answer(token)))
            .map(|key_authorization| challenge_answer(request.method(), key_authorization));
        let Answer {
            mut response,
            reason,
            is_logged,
            counted,
        } = match own {
            Some(answer) => answer,
            None => self.redirect(request, &router, conn.listener, challenge.is_some())?,
        };
        if let Some(reason) = reason {
            self.refusals.count(reason);
        }
        let bytes = match *request.method() {
            Method::HEAD => 0,
            _ => response.body().size_hint().exact().unwrap_or_default(),
        };
        let sent = DirectResponse {
            status: response.status(),
            bytes,
            reason,
            is_logged,
        };
        router.observer().note(request, conn, sent);
        if let Some(mut counted) = counted {
            counted.answered(response.status());
            response.body_mut().count(Some(counted));
        }
        Some(response)
    }

    /// Returns the token of a request for a challenge that this process does not know. Another process may have published
    /// it, or an ACME client behind the proxy.
    pub(super) fn unknown_token<'r, B>(&self, request: &'r Request<B>) -> Option<&'r str> {
        token_of(request).filter(|token| !self.tokens.has(token))
    }

    /// Redirects a request to HTTPS, or refuses it. `None` if its site is served over plain HTTP.
    fn redirect<B>(
        &self,
        request: &Request<B>,
        router: &Router,
        listener: ListenerId,
        is_challenge: bool,
    ) -> Option<Answer> {
        let site = site_of(request, router, listener);
        if site.is_ok_and(|site| site.http.is_served(false)) {
            return None;
        }
        let https_port = site.map_or(DEFAULT_PORT, |site| self.https_ports.of(site, listener));
        let location = https_location(request, https_port);
        Some(match location.and_then(|location| Ok((location, site?))) {
            Ok((location, site)) => {
                let mut response = page(StatusCode::PERMANENT_REDIRECT, "");
                response.headers_mut().insert(LOCATION, location);
                Answer {
                    response,
                    reason: None,
                    is_logged: site.is_logged(),
                    counted: Some(site.figures.begin(self.worker)),
                }
            }
            Err(Reason::UnknownHost | Reason::OtherListener) if is_challenge => {
                let response = page(StatusCode::NOT_FOUND, "no such challenge\n");
                Answer::refusal(response, Reason::UnknownChallenge)
            }
            Err(reason) => {
                let (status, text) = match reason {
                    Reason::Connect => (StatusCode::METHOD_NOT_ALLOWED, "no tunnels here\n"),
                    Reason::Host => (StatusCode::BAD_REQUEST, "one valid Host is needed\n"),
                    Reason::UnknownHost | Reason::OtherListener => {
                        (StatusCode::NOT_FOUND, "no such site\n")
                    }
                    _ => (StatusCode::BAD_REQUEST, "a valid target is needed\n"),
                };
                Answer::refusal(page(status, text), reason)
            }
        })
    }
}

impl Answer {
    fn refusal(response: Response<Body>, reason: Reason) -> Self {
        Self {
            response,
            reason: Some(reason),
            is_logged: true,
            counted: None,
        }
    }
}

/// Returns the token that a request asks for.
fn token_of<B>(request: &Request<B>) -> Option<&str> {
    let token = request.uri().path().strip_prefix(CHALLENGES)?;
    let is_whole = request.extensions().get::<CutTarget>().is_none();
    is_whole.then_some(token)
}

/// Answers with the key authorization of a pending challenge (RFC 8555 section 8.3).
fn challenge_answer(method: &Method, key_authorization: String) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Answer::refusal(response, Reason::Method);
    }
    Answer {
        response: page(StatusCode::OK, key_authorization),
        reason: None,
        is_logged: true,
        counted: None,
    }
}

fn page(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
