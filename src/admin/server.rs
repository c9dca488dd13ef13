//! Serves the admin socket: one request per connection, few connections, and no patience with slow
//! ones.

use std::convert::Infallible;
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
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::answer::{Refused, RevokeRequest};
use super::call::Call;
use super::conversation::{CONNECTIONS, PAUSE, converse};
use super::desk::Desk;
use super::error::Error;
use super::socket::Socket;
use crate::tasks::Tasks;

/// How long the body of a request may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long its body may be.
const BODY_SIZE: usize = 4096;
/// How long a conversation may take, the wait for an order included.
const LONGEST: Duration = Duration::from_secs(900);

/// Answers on the admin socket.
#[derive(Debug)]
pub struct Server {
    desk: Arc<Desk>,
    places: Arc<Semaphore>,
    tasks: Tasks,
}

impl Server {
    /// A server that answers from `desk` and runs its conversations among `tasks`.
    #[must_use]
    pub fn new(desk: Desk, tasks: Tasks) -> Self {
        Self {
            desk: Arc::new(desk),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            tasks,
        }
    }

    /// Serves until the process stops.
    pub async fn run(self, socket: Socket) {
        let shutdown = self.tasks.shutdown();
        loop {
            let accepted = async {
                let place = Arc::clone(&self.places).acquire_owned().await;
                (socket.accept().await, place)
            };
            let (stream, place) = tokio::select! {
                () = shutdown.requested() => return,
                accepted = accepted => accepted,
            };
            match stream {
                Ok(stream) => {
                    let desk = Arc::clone(&self.desk);
                    self.tasks.spawn(async move {
                        serve(desk, stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "the admin socket does not accept");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn serve(desk: Arc<Desk>, stream: UnixStream) {
    let service = service_fn(|request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(respond(&desk, request).await) }
    });
    converse(stream, service, LONGEST).await;
}

async fn respond(desk: &Desk, request: Request<Incoming>) -> Response<Full<Bytes>> {
    answer(desk, request).await.unwrap_or_else(|error| {
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

async fn answer(desk: &Desk, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let (head, body) = request.into_parts();
    Ok(match Call::parse(&head)? {
        Call::List { after, limit } => json(&desk.page(after.as_deref(), limit).await?),
        Call::Show(name) => json(&desk.report(&name).await?),
        Call::Renew(name) => json(&desk.renew(&name).await?),
        Call::Revoke(name) => {
            let request: RevokeRequest = read(body).await?;
            json(&desk.revoke(&name, &request.reason).await?)
        }
        Call::Status => json(&desk.status().await?),
        Call::Rollover => json(&desk.roll_account_keys().await?),
    })
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Error> {
    let body = Limited::new(body, BODY_SIZE).collect();
    let body = timeout(BODY_TIMEOUT, body).await;
    let body = body.map_err(|_| Error::Body)?.map_err(|_| Error::Body)?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| Error::Body)
}

fn json<T: Serialize>(value: &T) -> Response<Full<Bytes>> {
    // Strings, numbers and lists of them always have a form in JSON.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Full::new(body.into()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
