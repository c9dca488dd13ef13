//! The server of the status page, on a TCP listener of its own.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, info};

use super::event_stream::{BrowserPlace, EventStream, STREAM_LIFETIME};
use super::login_attempts::{DELAY, LoginAttempt, LoginAttempts};
use super::page_access::{AccessRefusal, PageAccess};
use super::page_documents::PageDocuments;
use super::page_headers::{PageBody, document, json_value, respond, text};
use super::page_options::PageOptions;
use super::page_request::{PageRequest, RequestProblem, field};
use super::recorder::Recorder;
use crate::admin::certificate_operations::Operations;
use crate::admin::connection::{
    ClientConnection, ClientListener, ClientPlaces, accept_connections, serve_connection,
};
use crate::admin::response::Refused;
use crate::proxy::ClientKey;
use crate::tasks::Tasks;

/// Most browsers that show the page at once. Less than the connections of a listener, so that there are some for other requests.
const MAX_BROWSERS: usize = 10;
/// Most browsers of one client. Less than its connections, for the same reason.
const MAX_BROWSERS_OF_CLIENT: usize = 3;
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
    logins: LoginAttempts,
    browsers: Arc<Semaphore>,
    browsers_of_client: ClientPlaces,
    renewals: Arc<Semaphore>,
    /// Tasks that end with the page.
    tasks: Tasks,
}

/// The client of a connection.
#[derive(Clone, Copy, Debug)]
struct Client {
    address: IpAddr,
    /// `true` if it may have a few browsers only.
    is_counted: bool,
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
            logins: LoginAttempts::new(tasks.clone()),
            browsers: Arc::new(Semaphore::new(MAX_BROWSERS)),
            browsers_of_client: ClientPlaces::new(MAX_BROWSERS_OF_CLIENT),
            renewals: Arc::new(Semaphore::new(MAX_RENEWALS)),
            tasks: tasks.clone(),
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
        let listener = ClientListener::new(listener);
        let serve = move |connection| serve(Arc::clone(&resources), connection);
        accept_connections(listener, "page", self.tasks, serve).await;
    }
}

async fn serve(resources: Arc<Resources>, mut connection: ClientConnection) {
    let socket = SockRef::from(&connection.stream);
    let set = socket
        .set_tcp_user_timeout(Some(UNREAD_TIMEOUT))
        .and_then(|()| socket.set_tcp_nodelay(true));
    if let Err(error) = set {
        debug!(%error, "a connection to the page cannot be set up");
    }
    let client = Client {
        address: connection.client,
        is_counted: connection.is_counted(),
    };
    let is_too_many = connection.is_too_many();
    let service = service_fn(|request: Request<Incoming>| {
        let resources = Arc::clone(&resources);
        async move {
            Ok::<_, Infallible>(if is_too_many {
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "your address has as many connections to the page as it may have; close the page in one of your browsers",
                )
            } else {
                resources.respond(request, client).await
            })
        }
    });
    serve_connection(&mut connection.stream, service, CONNECTION_TIMEOUT).await;
}

impl Resources {
    async fn respond(&self, request: Request<Incoming>, client: Client) -> Response<PageBody> {
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
            (Ok(()), Ok(PageRequest::Page { token: Some(token) })) => {
                self.welcome(&token, &head, client).await
            }
            (Ok(()), Ok(PageRequest::Login)) => self.log_in(body, &head, client).await,
            (Ok(()), Ok(PageRequest::Events)) => self.events(&head, client).await,
            (Ok(()), Ok(PageRequest::Renew)) => self.renew(body, &head).await,
            (Ok(()), Err(RequestProblem::Path)) => {
                text(StatusCode::NOT_FOUND, "the status page is at /")
            }
            (Ok(()), Err(RequestProblem::Method(allowed))) => not_allowed(allowed),
        }
    }

    /// Answers a visit with a token in its URL.
    async fn welcome(&self, token: &str, head: &Parts, client: Client) -> Response<PageBody> {
        let attempt = match self.access.check(&head.headers) {
            // Without a token of its own, the page is open, and one whose cookie is right needs no token.
            Ok(()) => None,
            Err(AccessRefusal::NoCookie) => match self.logins.begin(client.address) {
                Some(attempt) => Some(attempt),
                None => return self.too_early(),
            },
            Err(refusal) => return refused(refusal),
        };
        let mut response = document(StatusCode::OK, &self.documents.forward);
        match (self.access.cookie_for(token, &head.headers), attempt) {
            (Some(cookie), _) => {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            (None, Some(attempt)) => return self.wrong_token(attempt).await,
            (None, None) => {}
        }
        response
    }

    /// Answers the form for the token.
    async fn log_in(&self, body: Incoming, head: &Parts, client: Client) -> Response<PageBody> {
        if let Err(refusal) = self.access.check_origin(&head.headers) {
            return refused(refusal);
        }
        let Some(form) = read(body).await else {
            return text(StatusCode::BAD_REQUEST, "the form cannot be read");
        };
        let Some(attempt) = self.logins.begin(client.address) else {
            return self.too_early();
        };
        let token = field(&form, "token").unwrap_or_default();
        let Some(cookie) = self.access.cookie_for(&token, &head.headers) else {
            return self.wrong_token(attempt).await;
        };
        let mut response = text(StatusCode::SEE_OTHER, "the status page is at /");
        let headers = response.headers_mut();
        headers.insert(SET_COOKIE, cookie);
        headers.insert(LOCATION, HeaderValue::from_static("./"));
        response
    }

    async fn wrong_token(&self, attempt: LoginAttempt) -> Response<PageBody> {
        self.logins.fail(attempt).await;
        document(StatusCode::UNAUTHORIZED, &self.documents.wrong_token)
    }

    fn too_early(&self) -> Response<PageBody> {
        let mut response = document(StatusCode::TOO_MANY_REQUESTS, &self.documents.too_early);
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(DELAY.as_secs()));
        response
    }

    async fn events(&self, head: &Parts, client: Client) -> Response<PageBody> {
        if let Err(refusal) = self.access.check_origin(&head.headers) {
            return refused(refusal);
        }
        let place = match self.browser_place(client) {
            Ok(place) => place,
            Err(full) => return text(StatusCode::SERVICE_UNAVAILABLE, full),
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
            shutdown: self.tasks.shutdown(),
            place,
        };
        respond(StatusCode::OK, "text/event-stream", stream.into_body())
    }

    /// Takes a place for a browser. An error says why there is none.
    fn browser_place(&self, client: Client) -> Result<BrowserPlace, &'static str> {
        let of_client = if client.is_counted {
            let place = self.browsers_of_client.take(ClientKey::of(client.address));
            Some(place.ok_or(
                "your address shows the page in as many browsers as it may; close it in one of them",
            )?)
        } else {
            None
        };
        let of_all = Arc::clone(&self.browsers).try_acquire_owned();
        Ok(BrowserPlace {
            _of_all: of_all.map_err(
                |_| "as many browsers as there may be show the page; close it in one of them",
            )?,
            _of_client: of_client,
        })
    }

    /// Renews the certificate of the name in the body, and waits for the result. The renewal counts as under way until it ends,
    /// even if the browser leaves.
    async fn renew(&self, body: Incoming, head: &Parts) -> Response<PageBody> {
        if let Err(refusal) = self.access.check_renewal(&head.headers) {
            return refused(refusal);
        }
        let name = read(body).await.and_then(|form| field(&form, "name"));
        let Some(name) = name else {
            return text(StatusCode::BAD_REQUEST, "send a form with the field `name`");
        };
        let Ok(permit) = Arc::clone(&self.renewals).try_acquire_owned() else {
            let error = "other renewals are under way; try again when they have ended";
            return not_renewed(StatusCode::CONFLICT, error);
        };
        info!(%name, "renewal requested on the page");
        let (operations, recorder) = (self.operations.clone(), self.recorder.clone());
        let shutdown = self.tasks.shutdown();
        let renewal = self.tasks.spawn(async move {
            let renewed = tokio::select! {
                renewed = operations.renew(&name) => Some(renewed),
                () = shutdown.requested() => None,
            };
            drop(permit);
            recorder.note_changed_name();
            renewed
        });
        match renewal.await {
            Ok(Some(Ok(done))) => json_value(StatusCode::OK, &done),
            Ok(Some(Err(error))) => not_renewed(error.status(), error),
            Ok(None) | Err(_) => not_renewed(
                StatusCode::SERVICE_UNAVAILABLE,
                "the page ends before the renewal; `proxy certs show NAME` tells its result",
            ),
        }
    }
}

fn not_renewed(status: StatusCode, error: impl ToString) -> Response<PageBody> {
    let refused = Refused {
        error: error.to_string(),
    };
    json_value(status, &refused)
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
