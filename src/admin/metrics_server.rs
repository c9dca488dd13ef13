//! The server of `/metrics`, on a TCP listener of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;

use super::connection::{ClientConnection, ClientListener, accept_connections, serve_connection};
use super::metrics::metrics_page;
use super::stats::Stats;
use crate::prometheus::Format;
use crate::tasks::Tasks;

/// Time for a whole connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Response to a client with too many connections.
const TOO_MANY: &str =
    "this address has as many connections to the metrics as it may have; close one of them\n";

/// Serves the metrics of a running proxy to any client.
#[derive(Debug)]
pub struct MetricsServer {
    stats: Arc<Stats>,
    tasks: Tasks,
}

impl MetricsServer {
    /// Answers requests with `stats`, each in one of `tasks`.
    #[must_use]
    pub fn new(stats: Stats, tasks: Tasks) -> Self {
        Self {
            stats: Arc::new(stats),
            tasks,
        }
    }

    /// Serves until the process stops.
    pub async fn run(self, listener: Arc<TcpListener>) {
        let stats = self.stats;
        let listener = ClientListener::new(listener);
        let serve = move |connection| serve(Arc::clone(&stats), connection);
        accept_connections(listener, "metrics", self.tasks, serve).await;
    }
}

async fn serve(stats: Arc<Stats>, mut connection: ClientConnection) {
    let is_too_many = connection.is_too_many();
    let service = service_fn(|request: Request<Incoming>| {
        let stats = Arc::clone(&stats);
        async move {
            Ok::<_, Infallible>(if is_too_many {
                plain(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY)
            } else {
                respond(stats, &request).await
            })
        }
    });
    serve_connection(&mut connection.stream, service, CONNECTION_TIMEOUT).await;
}

async fn respond(stats: Arc<Stats>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "only GET and HEAD are allowed\n";
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
        let fields = response.headers_mut();
        fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let accepted = request.headers().get(ACCEPT);
    let format = Format::accepted(accepted.and_then(|it| it.to_str().ok()).unwrap_or_default());
    match metrics_page(stats).await {
        Ok(metrics) => page(StatusCode::OK, format.media_type(), metrics.text(format)),
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be collected\n",
        ),
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
