//! One HTTP/2 connection to a backend, which many requests share.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::debug;

use crate::name::HostName;
use crate::tasks::Tasks;
use crate::upstream::body::RequestBody;
use crate::upstream::transport::BackendStream;

/// Maximum size of the head of a response, in bytes.
const RESPONSE_HEAD_SIZE: u32 = 64 * 1024;
/// Maximum number of requests that share one connection. Further requests open another one.
const STREAMS: usize = 100;
/// Limit of streams that stands for that of a backend until its SETTINGS have arrived. No backend can tell this one, which has
/// more than 32 bits.
const UNTOLD: usize = usize::MAX - 1;
/// Number of bytes that a backend may send ahead of a slow client.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Window of the whole connection. It has room for all streams, so that slow clients cannot block the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// Number of bytes that may wait to be sent on one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Time between pings on a connection whose streams are silent. It is long because gRPC servers close connections that
/// ping more often than every five minutes, and because the kernel's probes find a dead machine sooner.
const PING_EVERY: Duration = Duration::from_secs(330);
/// Time that the backend has to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

type Driver = Connection<TokioIo<BackendStream>, RequestBody, Spawner>;

/// Counts a connection for the client that has opened it, until this is dropped.
pub(in crate::upstream) trait ConnectionHolder: Send + Sync {
    /// Tells that a stream of the connection has ended, so that there is room for another one.
    fn stream_ended(&self);
}

/// Runs the futures that hyper spawns for a connection.
#[derive(Clone, Debug)]
struct Spawner {
    tasks: Tasks,
    progress: Arc<Progress>,
}

/// Tells when a connection may have read the SETTINGS of its backend.
#[derive(Debug, Default)]
struct Progress {
    is_over: AtomicBool,
    made: Notify,
}

impl Progress {
    fn tell(&self) {
        if !self.is_over.load(Ordering::Relaxed) {
            self.made.notify_one();
        }
    }
}

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        // The first one reads what the backend sends.
        if self.progress.is_over.load(Ordering::Relaxed) {
            self.tasks.spawn(future);
            return;
        }
        let progress = Arc::clone(&self.progress);
        self.tasks.spawn(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                progress.tell();
                polled
            })
            .await;
        });
    }
}

/// One connection. Clones share it. It closes when the last clone and all streams are dropped.
#[derive(Clone)]
pub(in crate::upstream) struct Http2Connection(Arc<Shared>);

struct Shared {
    sender: SendRequest<RequestBody>,
    /// Locked by the task that drives the connection, and briefly to read the limits of the backend. Both run on the
    /// same worker.
    driver: Arc<Mutex<Option<Pin<Box<Driver>>>>>,
    streams: AtomicUsize,
    idle_since: Mutex<Instant>,
    opened: Instant,
    /// Host of the client's request that the TLS handshake has named, if it named one.
    server_name: Option<HostName>,
    /// `true` after a request on this connection has timed out.
    is_doubtful: AtomicBool,
    /// Counts the connection for the client that has opened it.
    holder: Option<Box<dyn ConnectionHolder>>,
    progress: Arc<Progress>,
}

impl Http2Connection {
    /// Starts HTTP/2 on `stream`, and spawns a task that drives the connection. If there is a `server_name`, only requests
    /// for this host may use the connection, which keeps `holder` to its end.
    pub(in crate::upstream) async fn handshake(
        stream: BackendStream,
        server_name: Option<&HostName>,
        holder: Option<impl ConnectionHolder + 'static>,
        tasks: &Tasks,
    ) -> Result<Self, hyper::Error> {
        let progress = Arc::<Progress>::default();
        let spawner = Spawner {
            tasks: tasks.clone(),
            progress: Arc::clone(&progress),
        };
        let (sender, driver) = Builder::new(spawner)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(UNTOLD)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(RESPONSE_HEAD_SIZE)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await?;
        let driver = Arc::new(Mutex::new(Some(Box::pin(driver))));
        tasks.spawn(drive(Arc::clone(&driver), Arc::clone(&progress)));
        Ok(Self(Arc::new(Shared {
            sender,
            driver,
            streams: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
            opened: Instant::now(),
            server_name: server_name.cloned(),
            is_doubtful: AtomicBool::new(false),
            holder: holder.map(|holder| Box::new(holder) as _),
            progress,
        })))
    }

    /// Time at which the connection was opened.
    pub(in crate::upstream) fn opened(&self) -> Instant {
        self.0.opened
    }

    /// Host for which the connection is reserved.
    pub(super) fn server_name(&self) -> Option<&HostName> {
        self.0.server_name.as_ref()
    }

    /// Number of open streams.
    pub(super) fn streams(&self) -> usize {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// `true` if the connection accepts requests. It does not after the backend has sent GOAWAY. It also does not after
    /// a request has timed out, because the backend's machine may be dead, and nothing else would show this for
    /// minutes.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        !self.0.sender.is_closed() && !self.0.is_doubtful.load(Ordering::Relaxed)
    }

    /// Counts one more stream, even if there is no room.
    pub(in crate::upstream) fn open_stream(self) -> Arc<StreamSlot> {
        self.0.streams.fetch_add(1, Ordering::Relaxed);
        Arc::new(StreamSlot(self))
    }

    /// `true` if the connection accepts requests, and both the backend's limit and [`STREAMS`] allow another one. Until the
    /// limit is known, there is one stream: the backend would refuse those beyond its limit.
    pub(in crate::upstream) fn has_room(&self) -> bool {
        let allowed = match self.allowed() {
            UNTOLD => 1,
            allowed => allowed.min(STREAMS),
        };
        self.is_open() && self.streams() < allowed
    }

    /// Waits until the backend has told how many streams it allows, or until the connection has ended.
    pub(in crate::upstream) async fn told(self) {
        while self.allowed() == UNTOLD {
            self.0.progress.made.notified().await;
        }
    }

    /// Limit of streams that the backend has told; 0 if the connection has ended.
    fn allowed(&self) -> usize {
        let driver = self.0.driver.lock();
        let allowed = driver
            .as_ref()
            .map_or(0, |driver| driver.current_max_send_streams());
        if allowed != UNTOLD {
            self.0.progress.is_over.store(true, Ordering::Relaxed);
        }
        allowed
    }

    /// Time since when there are no streams; `None` if there are any.
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

async fn drive(driver: Arc<Mutex<Option<Pin<Box<Driver>>>>>, progress: Arc<Progress>) {
    let ended = poll_fn(|cx| {
        let mut slot = driver.lock();
        let Some(connection) = slot.as_mut() else {
            return Poll::Ready(Ok(()));
        };
        let outcome = ready!(connection.as_mut().poll(cx));
        *slot = None;
        Poll::Ready(outcome)
    });
    let ended = ended.await;
    progress.tell();
    if let Err(error) = ended {
        debug!(%error, "upstream connection ended");
    }
}

/// Counts one stream of a connection until it is dropped. The response and the upload share it, so the longer of the
/// two counts.
#[derive(Debug)]
pub(in crate::upstream) struct StreamSlot(Http2Connection);

impl StreamSlot {
    pub(in crate::upstream) fn connection(&self) -> &Http2Connection {
        &self.0
    }

    pub(in crate::upstream) fn sender(&self) -> SendRequest<RequestBody> {
        self.0.0.sender.clone()
    }

    /// Records that a request has timed out, so that no other one uses this connection.
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
        if let Some(holder) = &shared.holder {
            holder.stream_ended();
        }
    }
}
