//! HTTP/2 connections to a backend, which many requests share.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::debug;

use super::http1::RESPONSE_HEAD_SIZE;
use crate::tasks::Tasks;
use crate::upstream::body::RequestBody;
use crate::upstream::transport::BackendStream;

/// Number of requests that may share one connection. The next ones open another.
const STREAMS: usize = 100;
/// Bytes that a backend may send ahead of a slow client. The connection's window has room for all streams, so that no slow
/// client holds up the others.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// Bytes that may wait to be sent on one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Time between pings on a connection with silent streams. The kernel's probes find a dead machine sooner; gRPC servers
/// close a connection that pings more often than every five minutes.
const PING_EVERY: Duration = Duration::from_secs(330);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

type Driver = Connection<TokioIo<BackendStream>, RequestBody, Spawner>;

/// Runs what hyper spawns for a connection.
#[derive(Clone, Debug)]
struct Spawner(Tasks);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// One connection. Clones share it; it closes when the last of them and all streams are gone.
#[derive(Clone)]
pub(in crate::upstream) struct Http2Connection(Arc<Shared>);

struct Shared {
    sender: SendRequest<RequestBody>,
    /// Locked briefly to read its limits, or by the one task that drives it, which runs on the same runtime.
    driver: Arc<Mutex<Option<Pin<Box<Driver>>>>>,
    streams: AtomicUsize,
    idle_since: Mutex<Instant>,
    opened: Instant,
    /// `true` after a request has waited in vain for its response here.
    is_doubtful: AtomicBool,
}

impl Http2Connection {
    /// Starts HTTP/2 on `stream` and lets one of `tasks` drive it.
    pub(in crate::upstream) async fn handshake(
        stream: BackendStream,
        tasks: &Tasks,
    ) -> Result<Self, hyper::Error> {
        let (sender, driver) = Builder::new(Spawner(tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(STREAMS)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(RESPONSE_HEAD_SIZE as u32)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await?;
        let driver = Arc::new(Mutex::new(Some(Box::pin(driver))));
        tasks.spawn(drive(Arc::clone(&driver)));
        Ok(Self(Arc::new(Shared {
            sender,
            driver,
            streams: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
            opened: Instant::now(),
            is_doubtful: AtomicBool::new(false),
        })))
    }

    /// Time at which it was opened.
    pub(in crate::upstream) fn opened(&self) -> Instant {
        self.0.opened
    }

    /// Number of requests that it serves.
    pub(super) fn streams(&self) -> usize {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// `true` if it takes requests. It does not after the backend has sent GOAWAY, nor after a request has had no answer in
    /// time: the machine at the other end may be gone, which nothing else shows for minutes.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        !self.0.sender.is_closed() && !self.0.is_doubtful.load(Ordering::Relaxed)
    }

    /// Counts one more stream, without a look at whether there is room.
    pub(in crate::upstream) fn open_stream(self) -> Arc<StreamSlot> {
        self.0.streams.fetch_add(1, Ordering::Relaxed);
        Arc::new(StreamSlot(self))
    }

    /// `true` if there is room for another request, by the backend's limit and our own.
    pub(in crate::upstream) fn has_room(&self) -> bool {
        let driver = self.0.driver.lock();
        let allowed = driver
            .as_ref()
            .map_or(0, |driver| driver.current_max_send_streams());
        self.is_open() && self.streams() < allowed.min(STREAMS)
    }

    /// Time since which no request has used it; `None` while one does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = self.0.idle_since.lock();
        (self.streams() == 0).then_some(*since)
    }
}

impl fmt::Debug for Http2Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Connection")
            .field("streams", &self.streams())
            .finish_non_exhaustive()
    }
}

async fn drive(driver: Arc<Mutex<Option<Pin<Box<Driver>>>>>) {
    let ended = poll_fn(|cx| {
        let mut slot = driver.lock();
        let Some(connection) = slot.as_mut() else {
            return Poll::Ready(Ok(()));
        };
        let outcome = ready!(connection.as_mut().poll(cx));
        *slot = None;
        Poll::Ready(outcome)
    });
    if let Err(error) = ended.await {
        debug!(%error, "upstream connection ended");
    }
}

/// Counts one stream of a connection until it is dropped: with the response or with the upload, whichever lasts longer.
#[derive(Debug)]
pub(in crate::upstream) struct StreamSlot(Http2Connection);

impl StreamSlot {
    pub(in crate::upstream) fn sender(&self) -> SendRequest<RequestBody> {
        self.0.0.sender.clone()
    }

    /// Records that a request has waited in vain for its response, so that no other one is sent here.
    pub(in crate::upstream) fn mark_doubtful(&self) {
        self.0.0.is_doubtful.store(true, Ordering::Relaxed);
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let shared = &self.0.0;
        if shared.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            let mut since = shared.idle_since.lock();
            *since = Instant::now();
        }
    }
}
