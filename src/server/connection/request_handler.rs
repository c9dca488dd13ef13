//! Passes the requests of one connection to the proxy service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;

use super::client_resets::ClientResets;
use super::deadlines::Deadlines;
use super::tracked_body::{RequestMark, TrackedBody};
use crate::http1::IncomingBody;
use crate::memory::ConnectionMemory;
use crate::proxy::{Body, ClientBody, ConnInfo, Http1Body, Interims, ProxyService};
use crate::server::current_date::CurrentDate;
use crate::server::direct_responder::DirectResponder;
use crate::tasks::Shutdown;

/// Answers the requests of one connection.
#[derive(Debug)]
pub(in crate::server) struct RequestHandler {
    pub(in crate::server) service: ProxyService,
    /// Answers some requests instead of the service.
    pub(super) direct: Option<Arc<DirectResponder>>,
    pub(in crate::server) info: Arc<ConnInfo>,
    pub(in crate::server) deadlines: Arc<Deadlines>,
    pub(in crate::server) memory: Arc<ConnectionMemory>,
    pub(in crate::server) resets: ClientResets,
    /// The `Date` of responses that have none.
    pub(super) date: Arc<CurrentDate>,
    /// Time that a body may make no progress.
    pub(in crate::server) body_timeout: Duration,
    /// End of the process, from which on each response says that it is the last one. `None` for HTTP/2, which says so itself.
    pub(super) shutdown: Option<Shutdown>,
}

impl RequestHandler {
    /// `true` if what is handed to the protocol may wait for long: the client reads nothing, or has many requests.
    pub(super) fn is_congested(&self) -> bool {
        self.deadlines.is_write_blocked() || self.memory.is_busy()
    }

    /// Returns a body whose progress is recorded for the deadlines.
    pub(super) fn tracked(&self, body: IncomingBody) -> Http1Body {
        Http1Body::new(body, Arc::clone(self.deadlines.upload_left()))
    }

    /// Answers one request. The future lies on the heap, or each connection would have room for it as long as it lives.
    pub(super) fn call<B>(
        self: &Arc<Self>,
        request: Request<B>,
        interims: Option<Interims>,
    ) -> Pin<Box<impl Future<Output = Response<TrackedBody<Body>>> + Send + use<B>>>
    where
        B: Into<ClientBody> + http_body::Body + Send + 'static,
    {
        let mark = RequestMark::new(Arc::clone(&self.deadlines));
        self.deadlines.set_has_body(!request.body().is_end_stream());
        let this = Arc::clone(self);
        boxed(|| async move {
            if let Some(direct) = &this.direct {
                let other = match direct.unknown_token(&request) {
                    Some(token) => Box::pin(direct.tokens.answer_of_other(token)).await,
                    None => None,
                };
                if let Some(response) = direct.respond(&request, &this.info, other) {
                    return this.finished(response, mark);
                }
            }
            let response = this.service.call(request, &this.info, interims).await;
            this.finished(response, mark)
        })
    }

    /// Answers one request of a client that may have moved since the connection began.
    pub(in crate::server) fn call_from(
        self: &Arc<Self>,
        info: Arc<ConnInfo>,
        request: Request<ClientBody>,
        interims: Option<Interims>,
    ) -> Pin<Box<impl Future<Output = Response<TrackedBody<Body>>> + Send + use<>>> {
        let mark = RequestMark::new(Arc::clone(&self.deadlines));
        let this = Arc::clone(self);
        boxed(|| async move {
            let response = this.service.call(request, &info, interims).await;
            tracked(response, mark)
        })
    }

    /// Completes a response's head with `Date` and `Content-Length`, and splits it from its body.
    pub(in crate::server) fn complete_head(
        &self,
        response: Response<TrackedBody<Body>>,
    ) -> (Response<()>, TrackedBody<Body>) {
        let (mut head, body) = response.into_parts();
        let fields = &mut head.headers;
        fields.entry(DATE).or_insert_with(|| self.date.value());
        if !body.is_end_stream()
            && let Some(length) = body.size_hint().exact()
        {
            let length = || HeaderValue::from(length);
            fields.entry(CONTENT_LENGTH).or_insert_with(length);
        }
        (Response::from_parts(head, ()), body)
    }

    /// Tells the client of HTTP/1.1 that the connection closes after this response, if the process stops. A client that goes on
    /// without a pause would else meet the close with its next request.
    fn finished(
        &self,
        mut response: Response<Body>,
        mark: RequestMark,
    ) -> Response<TrackedBody<Body>> {
        let ends = self.shutdown.as_ref().is_some_and(Shutdown::is_requested);
        if ends && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        tracked(response, mark)
    }
}

fn tracked(mut response: Response<Body>, mark: RequestMark) -> Response<TrackedBody<Body>> {
    let mark = mark.counting(response.body_mut().take_counted());
    response.map(|body| TrackedBody::new(body, mark))
}

/// Builds a future on the heap. `Box::pin` would build it on the stack and copy all of its size.
pub(in crate::server) fn boxed<F>(future: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), future()))
}
