//! The server of the status page, on a TCP listener of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, info};

use super::event_stream::{EventStream, STREAM_LIFETIME};
use super::page_access::{AccessRefusal, PageAccess};
use super::page_documents::PageDocuments;
use super::page_headers::{PageBody, document, json_value, respond, text};
use super::page_options::PageOptions;
use super::page_request::{PageRequest, RequestProblem, field};
use super::recorder::Recorder;
use crate::admin::certificate_operations::Operations;
use crate::admin::connection::{accept_connections, serve_connection};
use crate::admin::response::Refused;
use crate::tasks::{Shutdown, Tasks};

/// Most browsers that show the page at once. Less than the connections of a listener, so that there are some for other requests.
const MAX_BROWSERS: usize = 10;
/// Most renewals at once.
const MAX_RENEWALS: usize = 2;
/// Time for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest body of a request, in bytes.
const BODY_SIZE: usize = 4096;
/// Time for a whole connection, beyond the lifetime of a stream of events. Longer than any order takes.
const CONNECTION_TIMEOUT: Duration = STREAM_LIFETIME.saturating_add(Duration::from_secs(30));
/// Time after which a connection ends whose client takes nothing of what it is sent.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Serves the status page of a running proxy.
#[derive(Debug)]
pub struct PageServer {
    resources: Arc<Resources>,
    tasks: Tasks,
}

#[derive(Debug)]
struct Resources {
    access: PageAccess,
    documents: PageDocuments,
    recorder: Recorder,
    operations: Operations,
    browsers: Arc<Semaphore>,
    renewals: Semaphore,
    shutdown: Shutdown,
}

impl PageServer {
    /// Serves a page with these options on this address. Shows what `recorder` records, renews with `operations`, and answers
    /// each request in one of `tasks`.
    #[must_use]
    pub fn new(
        options: &PageOptions,
        address: SocketAddr,
        recorder: Recorder,
        operations: Operations,
        tasks: Tasks,
    ) -> Self {
        let resources = Resources {
            access: PageAccess::new(options, address),
            documents: PageDocuments::new(),
            recorder,
            operations,
            browsers: Arc::new(Semaphore::new(MAX_BROWSERS)),
            renewals: Semaphore::new(MAX_RENEWALS),
            shutdown: tasks.shutdown(),
        };
        Self {
            resources: Arc::new(resources),
            tasks,
        }
    }

    /// Serves until its tasks are stopped.
    pub async fn run(self, listener: Arc<TcpListener>) {
        if let Ok(address) = listener.local_addr() {
            info!(%address, "serving the status page");
        }
        let resources = self.resources;
        let serve = move |stream| serve(Arc::clone(&resources), stream);
        accept_connections(listener, "page", self.tasks, serve).await;
    }
}

async fn serve(resources: Arc<Resources>, stream: TcpStream) {
    let socket = SockRef::from(&stream);
    let set = socket
        .set_tcp_user_timeout(Some(UNREAD_TIMEOUT))
        .and_then(|()| socket.set_tcp_nodelay(true));
    if let Err(error) = set {
        debug!(%error, "a connection to the page cannot be set up");
    }
    let service = service_fn(|request: Request<Incoming>| {
        let resources = Arc::clone(&resources);
        async move { Ok::<_, Infallible>(resources.respond(request).await) }
    });
    serve_connection(stream, service, CONNECTION_TIMEOUT).await;
}

impl Resources {
    async fn respond(&self, request: Request<Incoming>) -> Response<PageBody> {
        let (head, body) = request.into_parts();
        let parsed = PageRequest::parse(&head);
        let checked = match &parsed {
            // What comes with a token has no cookie yet.
            Ok(PageRequest::Page { token: Some(_) } | PageRequest::Login) => Ok(()),
            _ => self.access.check(&head.headers),
        };
        match (checked, parsed) {
            (Err(AccessRefusal::NoCookie), Ok(PageRequest::Page { .. })) => {
                document(StatusCode::UNAUTHORIZED, &self.documents.login)
            }
            (Err(refusal), _) => refused(refusal),
            (Ok(()), Ok(PageRequest::Page { token: None })) => {
                document(StatusCode::OK, &self.documents.page)
            }
            (Ok(()), Ok(PageRequest::Page { token: Some(token) })) => self.welcome(&token, &head),
            (Ok(()), Ok(PageRequest::Login)) => self.log_in(body, &head).await,
            (Ok(()), Ok(PageRequest::Events)) => self.events(&head).await,
            (Ok(()), Ok(PageRequest::Renew)) => self.renew(body, &head).await,
            (Ok(()), Err(RequestProblem::Path)) => {
                text(StatusCode::NOT_FOUND, "the status page is at /")
            }
            (Ok(()), Err(RequestProblem::Method(allowed))) => not_allowed(allowed),
        }
    }

    /// Answers a visit with a token in its URL.
    fn welcome(&self, token: &str, head: &Parts) -> Response<PageBody> {
        if let Some(cookie) = self.access.cookie_for(token, &head.headers) {
            let mut response = document(StatusCode::OK, &self.documents.forward);
            response.headers_mut().insert(SET_COOKIE, cookie);
            return response;
        }
        match self.access.check(&head.headers) {
            // Without a token of its own, the page is open, and one whose cookie is right needs no token.
            Ok(()) => document(StatusCode::OK, &self.documents.forward),
            Err(AccessRefusal::NoCookie) => self.wrong_token(),
            Err(refusal) => refused(refusal),
        }
    }

    /// Answers the form for the token.
    async fn log_in(&self, body: Incoming, head: &Parts) -> Response<PageBody> {
        if let Err(refusal) = self.access.check_origin(&head.headers) {
            return refused(refusal);
        }
        let Some(form) = read(body).await else {
            return text(StatusCode::BAD_REQUEST, "the form cannot be read");
        };
        let token = field(&form, "token").unwrap_or_default();
        let Some(cookie) = self.access.cookie_for(&token, &head.headers) else {
            return self.wrong_token();
        };
        let mut response = text(StatusCode::SEE_OTHER, "the status page is at /");
        let headers = response.headers_mut();
        headers.insert(SET_COOKIE, cookie);
        headers.insert(LOCATION, HeaderValue::from_static("./"));
        response
    }

    fn wrong_token(&self) -> Response<PageBody> {
        debug!("a visitor of the page has a wrong token");
        document(StatusCode::UNAUTHORIZED, &self.documents.wrong_token)
    }

    async fn events(&self, head: &Parts) -> Response<PageBody> {
        if let Err(refusal) = self.access.check_origin(&head.headers) {
            return refused(refusal);
        }
        let Ok(permit) = Arc::clone(&self.browsers).try_acquire_owned() else {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "as many browsers as there may be show the page; close it in one of them",
            );
        };
        let Some(subscription) = self.recorder.subscribe().await else {
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the status cannot be written",
            );
        };
        let stream = EventStream {
            subscription,
            renewal_key: self.access.renewal_key(),
            shutdown: self.shutdown.clone(),
            permit,
        };
        respond(StatusCode::OK, "text/event-stream", stream.into_body())
    }

    /// Renews the certificate of the name in the body, and waits for the result.
    async fn renew(&self, body: Incoming, head: &Parts) -> Response<PageBody> {
        if let Err(refusal) = self.access.check_renewal(&head.headers) {
            return refused(refusal);
        }
        let name = read(body).await.and_then(|form| field(&form, "name"));
        let Some(name) = name else {
            return text(StatusCode::BAD_REQUEST, "send a form with the field `name`");
        };
        let Ok(_permit) = self.renewals.try_acquire() else {
            let refused = Refused {
                error: "other renewals are under way; try again when they have ended".to_owned(),
            };
            return json_value(StatusCode::CONFLICT, &refused);
        };
        info!(%name, "renewal requested on the page");
        let renewed = self.operations.renew(&name).await;
        self.recorder.note_changed_name();
        match renewed {
            Ok(done) => json_value(StatusCode::OK, &done),
            Err(error) => {
                let refused = Refused {
                    error: error.to_string(),
                };
                json_value(error.status(), &refused)
            }
        }
    }
}

fn refused(refusal: AccessRefusal) -> Response<PageBody> {
    let (status, sentence) = match refusal {
        AccessRefusal::Host => (
            StatusCode::MISDIRECTED_REQUEST,
            "without `page-token`, the page is for localhost and loopback addresses only; open it under one of them, or set a token",
        ),
        AccessRefusal::OtherOrigin => (
            StatusCode::FORBIDDEN,
            "this request comes from another site; open the status page itself",
        ),
        AccessRefusal::NoCookie => (
            StatusCode::UNAUTHORIZED,
            "this needs a visit to the page with its token first",
        ),
        AccessRefusal::NoToken => (
            StatusCode::FORBIDDEN,
            "the page cannot renew certificates without `page-token`; set it, or run `proxy certs renew NAME`",
        ),
        AccessRefusal::NoRenewalKey => (
            StatusCode::FORBIDDEN,
            "this request does not have the key for renewals; load the page again",
        ),
    };
    text(status, sentence)
}

fn not_allowed(allowed: &'static str) -> Response<PageBody> {
    let mut response = text(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not have this method",
    );
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Reads a body. `None` if it is too large, too slow or cut.
async fn read(body: Incoming) -> Option<Bytes> {
    let body = timeout(BODY_TIMEOUT, Limited::new(body, BODY_SIZE).collect()).await;
    Some(body.ok()?.ok()?.to_bytes())
}
