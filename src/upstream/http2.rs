//! HTTP/2 connections to a backend, which many requests share.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::address::{Address, Protocol};
use super::backend::InFlight;
use super::body::{RequestBody, ResponseBody};
use super::error::Error;
use super::exchange::{Failure, HEAD_SIZE, poll_overdue};
use super::pulse::{Answered, Pulse, UploadFailure};
use super::translate::{to_http1, to_http2};
use super::wire::Wire;
use crate::tasks::Tasks;

/// How many requests share one connection at the most. The next ones open another.
const STREAMS: usize = 100;
/// What a backend may send ahead of a slow client. All streams of a connection together have as much as each of them: no
/// slow client holds up the others.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// What waits to be sent on one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// When a connection with streams that say nothing is asked for a sign of life. The kernel's probes find a dead machine
/// sooner; gRPC servers take it ill to be asked more often than every five minutes.
const PING_EVERY: Duration = Duration::from_secs(330);
const PING_PATIENCE: Duration = Duration::from_secs(20);

type Driver = Connection<TokioIo<Wire>, RequestBody, Spawner>;

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

/// One connection. Clones are the same one; it closes when the last of them and all streams are gone.
#[derive(Clone)]
pub(super) struct Http2(Arc<Shared>);

struct Shared {
    sender: SendRequest<RequestBody>,
    /// Locked for a look at it or by the one task that drives it, which runs on the same runtime.
    driver: Arc<Mutex<Option<Pin<Box<Driver>>>>>,
    streams: AtomicUsize,
    idle_since: Mutex<Instant>,
    opened: Instant,
    /// Whether a request has waited in vain for its response here.
    is_doubtful: AtomicBool,
}

impl Http2 {
    /// Says hello on a connection and has `tasks` drive it.
    pub(super) async fn handshake(wire: Wire, tasks: &Tasks) -> Result<Self, hyper::Error> {
        let (sender, driver) = Builder::new(Spawner(tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(STREAMS)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEAD_SIZE as u32)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_PATIENCE)
            .handshake(TokioIo::new(wire))
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

    /// When it was made.
    pub(super) fn opened(&self) -> Instant {
        self.0.opened
    }

    /// How many requests it serves.
    pub(super) fn streams(&self) -> usize {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// Whether it takes requests at all: it does not after the backend has said that it goes away, nor after one has had no
    /// answer in time. The machine at the other end may be gone, which nothing else tells for minutes.
    pub(super) fn is_open(&self) -> bool {
        !self.0.sender.is_closed() && !self.0.is_doubtful.load(Ordering::Relaxed)
    }

    /// Whether another request finds room, by the backend's limit and our own.
    pub(super) fn has_room(&self) -> bool {
        let driver = self.0.driver.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = driver
            .as_ref()
            .map_or(0, |driver| driver.current_max_send_streams());
        self.is_open() && self.streams() < allowed.min(STREAMS)
    }

    /// Since when no request has used it; `None` while one does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = self
            .0
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (self.streams() == 0).then_some(*since)
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2")
            .field("streams", &self.streams())
            .finish_non_exhaustive()
    }
}

async fn drive(driver: Arc<Mutex<Option<Pin<Box<Driver>>>>>) {
    let ended = poll_fn(|cx| {
        let mut slot = driver.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Room for one stream on a shared connection. Dropping it while the response is under way resets the stream and leaves
/// the others alone.
#[derive(Debug)]
pub(super) struct StreamLease {
    stream: Arc<Stream>,
    in_flight: InFlight,
    is_reused: bool,
    /// While the response to an upload is under way.
    answered: Option<Answered>,
}

/// Counts one stream of a connection until it is dropped: with the response or with the upload, whichever is longer under
/// way.
#[derive(Debug)]
pub(super) struct Stream(Http2);

impl StreamLease {
    pub(super) fn new(http2: Http2, in_flight: InFlight, is_reused: bool) -> Self {
        http2.0.streams.fetch_add(1, Ordering::Relaxed);
        Self {
            stream: Arc::new(Stream(http2)),
            in_flight,
            is_reused,
            answered: None,
        }
    }

    pub(super) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Whether others have used the connection before.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let shared = &self.0.0;
        if shared.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            let mut since = shared
                .idle_since
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *since = Instant::now();
        }
    }
}

/// Sends `request` on a stream of its own and waits up to `limit` for the response's head. Dropping the future resets the
/// stream.
pub(super) async fn exchange(
    mut lease: StreamLease,
    mut request: Request<RequestBody>,
    limit: Duration,
) -> Result<Response<ResponseBody>, Failure> {
    request.body_mut().occupy(Some(&lease.stream));
    let pulse = request.body().pulse();
    let spare = spare(&request);
    let address = lease.in_flight.address();
    let request = to_http2(request, address, address.protocol() == Protocol::Https);
    let mut sender = lease.stream.0.0.sender.clone();
    let mut head = pin!(sender.try_send_request(request));
    let mut alarm = pin!(sleep(limit));
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = head.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        ready!(poll_overdue(alarm.as_mut(), pulse.as_ref(), limit, cx));
        Poll::Ready(None)
    });
    match outcome.await {
        Some(Ok(response)) => {
            lease.answered = pulse.map(Pulse::answered);
            Ok(receive(response, lease))
        }
        Some(Err(error)) => {
            let broken = pulse.and_then(|pulse| pulse.failure());
            Err(fail(error, spare, broken, lease))
        }
        None => Err(late(lease)),
    }
}

/// A copy of a request without a body, for the case that the backend says that it has not touched it (RFC 9113
/// section 8.7). Those of idempotent methods are kept by who sends.
fn spare(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.body().is_empty() || request.method().is_idempotent() {
        return None;
    }
    let mut copy = Request::new(RequestBody::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

fn receive(response: Response<Incoming>, lease: StreamLease) -> Response<ResponseBody> {
    response.map(|incoming| match http_body::Body::is_end_stream(&incoming) {
        true => ResponseBody::ended(incoming, Arc::clone(lease.in_flight.lane())),
        false => ResponseBody::stream(incoming, lease),
    })
}

fn late(lease: StreamLease) -> Failure {
    let shared = &lease.stream.0.0;
    shared.is_doubtful.store(true, Ordering::Relaxed);
    let in_flight = lease.in_flight;
    Failure {
        error: Error::ResponseTimeout {
            backend: in_flight.address().clone(),
        },
        unsent: None,
        is_unprocessed: false,
        is_silent: false,
        in_flight,
    }
}

/// What an error of the stream or its connection says of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The backend has not touched it.
    Untouched,
    /// The connection died, and nobody knows.
    Unknown,
    /// The backend gave it up.
    Reset(h2::Reason),
    /// What came was no HTTP/2.
    Invalid,
}

fn verdict(error: &hyper::Error) -> Verdict {
    let source = std::error::Error::source(error);
    let Some(error) = source.and_then(|source| source.downcast_ref::<h2::Error>()) else {
        return if error.is_canceled() || error.is_closed() {
            Verdict::Untouched
        } else {
            Verdict::Unknown
        };
    };
    match error.reason() {
        // Only streams that the backend has not begun end by its GOAWAY.
        _ if error.is_remote() && error.is_go_away() => Verdict::Untouched,
        Some(h2::Reason::REFUSED_STREAM) if error.is_remote() => Verdict::Untouched,
        Some(reason) if error.is_remote() => Verdict::Reset(reason),
        _ if error.is_io() => Verdict::Unknown,
        _ => Verdict::Invalid,
    }
}

fn fail(
    mut error: TrySendError<Request<RequestBody>>,
    spare: Option<Request<RequestBody>>,
    broken: Option<UploadFailure>,
    lease: StreamLease,
) -> Failure {
    let in_flight = lease.in_flight;
    let mut unsent = error.take_message().map(to_http1);
    if let Some(unsent) = &mut unsent {
        unsent.body_mut().occupy(None);
    }
    let error = error.into_error();
    let verdict = verdict(&error);
    Failure {
        unsent: unsent.or_else(|| spare.filter(|_| verdict == Verdict::Untouched)),
        is_unprocessed: verdict == Verdict::Untouched,
        is_silent: matches!(verdict, Verdict::Untouched | Verdict::Unknown),
        error: describe(error, verdict, broken, in_flight.address()),
        in_flight,
    }
}

fn describe(
    error: hyper::Error,
    verdict: Verdict,
    broken: Option<UploadFailure>,
    backend: &Address,
) -> Error {
    let backend = backend.clone();
    match (broken, verdict) {
        (Some(UploadFailure::Stalled), _) => Error::RequestStalled,
        (Some(UploadFailure::TooLarge), _) => Error::RequestTooLarge,
        (Some(UploadFailure::Broken), _) => Error::RequestBroken(error),
        (None, Verdict::Reset(reason)) => Error::Reset { backend, reason },
        (None, Verdict::Untouched) => Error::Refused {
            backend,
            source: error,
        },
        (None, Verdict::Unknown | Verdict::Invalid) => Error::Exchange {
            backend,
            source: error,
        },
    }
}
