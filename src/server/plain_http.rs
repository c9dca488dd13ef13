//! The port-80 door: challenges first, then the way to https for hosts that are ours; nothing is
//! ever proxied.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::activity::Activity;
use super::connection::{self, Watch, drive};
use super::tracked_body::{RequestMark, TrackedBody};
use super::watched::Watched;
use super::{Client, Limits};
use crate::certs::challenge::Http01Tokens;
use crate::proxy::{Routers, to_https};
use crate::tasks::Shutdown;

const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Serves plain HTTP connections.
#[derive(Debug)]
pub struct PlainHttp {
    tokens: Arc<Http01Tokens>,
    routers: Arc<Routers>,
    https_port: u16,
    limits: Limits,
    http1: http1::Builder,
}

impl PlainHttp {
    /// A door that answers from `tokens` and redirects the hosts of `routers` to `https_port`.
    #[must_use]
    pub fn new(
        tokens: Arc<Http01Tokens>,
        routers: Arc<Routers>,
        https_port: u16,
        limits: Limits,
    ) -> Arc<Self> {
        let http1 = connection::http1(&limits);
        Arc::new(Self {
            tokens,
            routers,
            https_port,
            limits,
            http1,
        })
    }

    /// Serves one client until it leaves, is overdue, or the process stops.
    pub async fn serve(self: Arc<Self>, client: Client, shutdown: Shutdown) {
        let activity = Activity::new(false);
        let watch = Watch {
            activity: &activity,
            limits: &self.limits,
            shutdown: &shutdown,
        };
        let stream = Watched::new(client.stream, Arc::clone(&activity), client.place);
        let service = service_fn(|request| {
            let mark = RequestMark::new(Arc::clone(&activity));
            let response = self.answer(&request);
            async move { Ok::<_, Infallible>(response.map(|body| TrackedBody::new(body, mark))) }
        });
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        drive(Box::pin(connection), watch).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path().strip_prefix(CHALLENGES) {
            Some(token) => self.challenge(request.method(), token),
            None => self.redirect(request),
        }
    }

    /// RFC 8555 section 8.3: the key authorization for a token that is under way.
    fn challenge(&self, method: &Method, token: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match self.tokens.answer(token) {
            Some(key_authorization) => page(StatusCode::OK, key_authorization),
            None => page(StatusCode::NOT_FOUND, "no such challenge\n"),
        }
    }

    fn redirect(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let uri = request.uri();
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => request
                .headers()
                .get(HOST)
                .and_then(|host| host.to_str().ok()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let location = host.and_then(|host| {
            let target = to_https(&self.routers.snapshot(), host, path, self.https_port)?;
            HeaderValue::try_from(target).ok()
        });
        match location {
            Some(location) => {
                let mut response = page(StatusCode::PERMANENT_REDIRECT, "");
                response.headers_mut().insert(LOCATION, location);
                response
            }
            None => page(StatusCode::NOT_FOUND, "no such site\n"),
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
