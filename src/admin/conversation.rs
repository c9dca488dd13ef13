//! One HTTP/1.1 request on one connection, without patience for slow clients.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::debug;

/// How many clients of a listener are served at once; others wait to be accepted.
pub(super) const CONNECTIONS: usize = 16;
/// The pause after a failed accept.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a request is held.
const HEAD_SIZE: usize = 16 * 1024;
/// How many fields a request's head may have.
const HEAD_FIELDS: usize = 32;

/// Has `service` answer one request of a client, which must have taken the answer after `longest`.
pub(super) async fn converse<I, S>(stream: I, service: S, longest: Duration)
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_SIZE)
        .max_headers(HEAD_FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(longest, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "admin connection failed"),
        Err(_) => debug!("admin connection took too long"),
    }
}
