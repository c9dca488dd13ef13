//! Connections to the admin socket, to the metrics listener and to the page: one accept loop for all, and one HTTP/1.1 request
//! on each connection, under deadlines.

use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::log_limit::LogLimit;
use crate::tasks::Tasks;
use crate::uninterrupted::{Uninterrupted, repeat};

/// Most open connections of one listener. Others wait to be accepted.
const MAX_CONNECTIONS: usize = 16;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request that are buffered.
const HEAD_SIZE: usize = 16 * 1024;
/// Most fields in the head of a request.
const HEAD_FIELDS: usize = 32;

/// A socket that connections are accepted on.
pub(in crate::admin) trait Listen: Send + Sync {
    /// An accepted connection.
    type Stream: Send + 'static;

    /// Waits for the next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl<L: Listen> Listen for Arc<L> {
    type Stream = L::Stream;

    async fn accept(&self) -> io::Result<L::Stream> {
        L::accept(self).await
    }
}

/// Accepts connections until the process stops, and serves each in one of `tasks`. `name` is the listener in the log.
pub(in crate::admin) async fn accept_connections<L, F, Served>(
    listener: L,
    name: &'static str,
    tasks: Tasks,
    serve: F,
) where
    L: Listen,
    F: Fn(L::Stream) -> Served,
    Served: Future<Output = ()> + Send + 'static,
{
    let shutdown = tasks.shutdown();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let failure_log = LogLimit::default();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (repeat(|| listener.accept()).await, permit)
        };
        let (stream, permit) = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            accepted = accepted => accepted,
        };
        match stream {
            Ok(stream) => {
                let served = serve(stream);
                tasks.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(error) => {
                if let Some(failures) = failure_log.count() {
                    warn!(listener = name, %error, failures, "accept failed");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Has `service` answer one request. The client must have read the response after `time_limit`.
pub(in crate::admin) async fn serve_connection<I, S>(stream: I, service: S, time_limit: Duration)
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::ResBody: 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_SIZE)
        .max_headers(HEAD_FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Uninterrupted::new(stream)), service);
    match timeout(time_limit, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "admin connection failed"),
        Err(_) => debug!("admin connection timed out"),
    }
}
