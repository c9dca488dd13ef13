//! The server of the admin socket.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::certificate_operations::Operations;
use super::checks::CheckRequest;
use super::connection::{accept_connections, serve_connection};
use super::error::Error;
use super::process_commands::ProcessCommands;
use super::request::AdminRequest;
use super::response::{Refused, RevokeRequest, UpgradeRequest};
use super::socket::Socket;
use crate::tasks::Tasks;

/// Time for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest body of a request, in bytes.
const BODY_SIZE: usize = 64 * 1024;
/// Time for a whole connection, including the wait for an order.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(900);

/// Serves the admin socket.
#[derive(Debug)]
pub struct Server {
    resources: Arc<Resources>,
    tasks: Tasks,
}

/// Subjects of requests: certificates, and the process.
#[derive(Debug)]
struct Resources {
    operations: Operations,
    process: ProcessCommands,
}

impl Server {
    /// Answers requests with `operations` and `process`, each in one of `tasks`.
    #[must_use]
    pub fn new(operations: Operations, process: ProcessCommands, tasks: Tasks) -> Self {
        Self {
            resources: Arc::new(Resources {
                operations,
                process,
            }),
            tasks,
        }
    }

    /// Serves until the process stops.
    pub async fn run(self, mut socket: Socket) {
        let mut serving = pin!(self.accept(Arc::clone(socket.listener())));
        // Meanwhile, the lock is taken from the process before this one.
        tokio::select! {
            () = &mut serving => return,
            () = socket.hold_lock() => {}
        }
        serving.await;
    }

    async fn accept(self, socket: Arc<UnixListener>) {
        let resources = self.resources;
        let serve = move |stream| serve(Arc::clone(&resources), stream);
        accept_connections(socket, "admin socket", self.tasks, serve).await;
    }
}

async fn serve(resources: Arc<Resources>, stream: UnixStream) {
    let service = service_fn(|request: Request<Incoming>| {
        let resources = Arc::clone(&resources);
        async move { Ok::<_, Infallible>(respond(&resources, request).await) }
    });
    serve_connection(stream, service, CONNECTION_TIMEOUT).await;
}

async fn respond(resources: &Resources, request: Request<Incoming>) -> Response<Full<Bytes>> {
    answer(resources, request).await.unwrap_or_else(|error| {
        let refused = Refused {
            error: error.to_string(),
        };
        let mut response = json(&refused);
        *response.status_mut() = error.status();
        if let Error::Method(method) = error {
            let headers = response.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static(method));
        }
        response
    })
}

async fn answer(
    resources: &Resources,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Error> {
    let Resources {
        operations,
        process,
    } = resources;
    let (head, body) = request.into_parts();
    Ok(match AdminRequest::parse(&head)? {
        AdminRequest::List { after, limit } => {
            json(&operations.page(after.as_deref(), limit).await?)
        }
        AdminRequest::Show(name) => json(&operations.report(&name).await?),
        AdminRequest::Renew(name) => json(&operations.renew(&name).await?),
        AdminRequest::Revoke(name) => {
            let request: RevokeRequest = read(body).await?;
            json(&operations.revoke(&name, &request.reason).await?)
        }
        AdminRequest::Status { site } => json(&operations.status(site.as_deref()).await?),
        AdminRequest::Rollover => json(&operations.roll_account_keys().await?),
        AdminRequest::Reload => json(&process.reload().await?),
        AdminRequest::Upgrade => {
            let request: UpgradeRequest = read(body).await?;
            json(&process.upgrade(request.binary).await?)
        }
        AdminRequest::Doctor => {
            let request: CheckRequest = read(body).await?;
            json(&process.check(request.names).await?)
        }
        AdminRequest::Rehearse => json(&process.rehearse(read(body).await?).await?),
        AdminRequest::Stop => json(&process.stop().await?),
    })
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Error> {
    let body = Limited::new(body, BODY_SIZE).collect();
    let body = timeout(BODY_TIMEOUT, body).await;
    let body = body.map_err(|_| Error::Body)?.map_err(|_| Error::Body)?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| Error::Body)
}

fn json<T: Serialize>(value: &T) -> Response<Full<Bytes>> {
    // Strings, numbers and lists of them always serialize.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Full::new(body.into()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
