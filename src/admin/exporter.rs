//! Serves `/metrics` over TCP, where the operator asks for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::warn;

use super::conversation::{CONNECTIONS, PAUSE, converse};
use super::vitals::Vitals;
use crate::metrics::MEDIA_TYPE;
use crate::tasks::Tasks;

/// How long a client may take for the page.
const LONGEST: Duration = Duration::from_secs(30);

/// Shows the numbers of a running proxy to whoever connects.
#[derive(Debug)]
pub struct Exporter {
    vitals: Arc<Vitals>,
    places: Arc<Semaphore>,
    tasks: Tasks,
}

impl Exporter {
    /// An exporter of `vitals` that runs its conversations among `tasks`.
    #[must_use]
    pub fn new(vitals: Vitals, tasks: Tasks) -> Self {
        Self {
            vitals: Arc::new(vitals),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            tasks,
        }
    }

    /// Serves until the process stops.
    pub async fn run(self, listener: TcpListener) {
        let shutdown = self.tasks.shutdown();
        loop {
            let accepted = async {
                let place = Arc::clone(&self.places).acquire_owned().await;
                (listener.accept().await, place)
            };
            let (stream, place) = tokio::select! {
                () = shutdown.requested() => return,
                accepted = accepted => accepted,
            };
            match stream {
                Ok((stream, _)) => {
                    let vitals = Arc::clone(&self.vitals);
                    self.tasks.spawn(async move {
                        serve(vitals, stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "the listener of the metrics does not accept");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn serve(vitals: Arc<Vitals>, stream: TcpStream) {
    let service = service_fn(|request: Request<Incoming>| {
        let vitals = Arc::clone(&vitals);
        async move { Ok::<_, Infallible>(respond(vitals, &request).await) }
    });
    converse(stream, service, LONGEST).await;
}

async fn respond(vitals: Arc<Vitals>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "only GET and HEAD are served here\n";
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
        let fields = response.headers_mut();
        fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    // Many certificates take their time, which challenges on port 80 are not to wait for.
    match spawn_blocking(move || vitals.page().text()).await {
        Ok(text) => page(StatusCode::OK, MEDIA_TYPE, text),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "there are no numbers\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    page(status, "text/plain; charset=utf-8", text)
}

fn page(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
