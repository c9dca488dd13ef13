//! The deadlines of one client connection. Requests and streams record what happens as plain moments, and the driver of the
//! connection compares them with the limits from time to time: no request sets a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::Reason;
use crate::server::options::Limits;

/// Time without use after which an HTTP/1.1 connection is parked, that is, gives its buffers back. Longer than the pauses of a
/// busy connection, and so short that many new connections do not have buffers all at once.
pub(super) const PARK_AFTER: Duration = Duration::from_millis(50);

/// Time after which an upload that was not read to its end when the client closed its sending side is taken for cut.
const UPLOAD_WAIT: Duration = Duration::from_secs(1);

/// A deadline that a connection has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// No request runs, and none has begun in time.
    Idle,
    /// A request's head has begun, or the connection has, and the head is not complete.
    Head,
    /// The client does not read what is sent to it.
    Stalled,
}

impl Missed {
    /// Returns the reason under which the closed connection is counted.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Idle => Reason::Idle,
            Self::Head => Reason::HeadTimeout,
            Self::Stalled => Reason::Stalled,
        }
    }
}

/// Time-outs of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For a head that has begun.
    pub(super) header: Duration,
    /// For the next request.
    pub(super) idle: Duration,
    /// For a client that takes nothing of what is sent to it.
    pub(super) body: Duration,
}

impl Timeouts {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            header: limits.header_timeout,
            idle: limits.idle_timeout,
            body: limits.body_timeout,
        }
    }

    /// Shortens the waits for a request to `limit`. Requests that run keep their time.
    pub(super) fn shorten(&mut self, limit: Duration) {
        self.header = self.header.min(limit);
        self.idle = self.idle.min(limit);
    }

    fn shortest(&self) -> Duration {
        self.header.min(self.idle).min(self.body)
    }
}

/// The result of a check of the deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// No deadline is missed; check again at this moment.
    Again(Instant),
    /// No deadline is missed, and the connection can be parked.
    Unused,
    /// A deadline is missed.
    Missed(Missed),
}

/// The state of a connection that its deadlines depend on. Moments are microseconds since the connection began, plus one; 0
/// means never.
#[derive(Debug)]
pub(in crate::server) struct Deadlines {
    began: Instant,
    is_h2: bool,
    requests: AtomicU32,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    write_since: AtomicU64,
    /// Chunks of response bodies over HTTP/1.1 that the client has not read yet. Each HTTP/2 stream has a deadline of its own.
    pending_chunks: AtomicU32,
    pending_since: AtomicU64,
    has_body: AtomicBool,
    /// Bytes of the latest request's body that are still to be read, as `Http1Body` records them.
    upload_left: Arc<AtomicU64>,
    is_parked: AtomicBool,
}

impl Deadlines {
    pub(in crate::server) fn new(is_h2: bool) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            is_h2,
            requests: AtomicU32::new(0),
            idle_since: AtomicU64::new(1),
            // The first head is due from the start.
            head_since: AtomicU64::new(1),
            write_since: AtomicU64::new(0),
            pending_chunks: AtomicU32::new(0),
            pending_since: AtomicU64::new(0),
            has_body: AtomicBool::new(false),
            upload_left: Arc::default(),
            is_parked: AtomicBool::new(false),
        })
    }

    /// Returns this moment. Reads the clock.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Records that a request has begun, and returns when: with the first byte of its head, if that is known.
    pub(super) fn request_began(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let head_since = self.head_since.load(Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        // The head of the first request is due from the start of the connection, long before its first byte.
        if head_since > 1 {
            head_since
        } else {
            self.now()
        }
    }

    /// Records whether the latest request has a body, of which the protocol may still read a rest after the response. The
    /// connection is not parked then.
    pub(super) fn set_has_body(&self, has_body: bool) {
        self.has_body.store(has_body, Ordering::Relaxed);
    }

    /// Returns the place where the body of a request records how many of its bytes are still to be read.
    pub(super) fn upload_left(&self) -> &Arc<AtomicU64> {
        &self.upload_left
    }

    /// `true` while requests run.
    pub(super) fn has_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Returns for how long the end of what the client sends is kept from the protocol, which would cancel the request: for
    /// `answer_wait` if all of the request has come. `None` if no answer is awaited.
    pub(super) fn wait_after_end(&self, answer_wait: Duration) -> Option<Duration> {
        if self.is_h2 || !self.has_requests() {
            return None;
        }
        Some(if self.has_unread_body() {
            UPLOAD_WAIT
        } else {
            answer_wait
        })
    }

    /// Records that a request has ended. Returns this moment if it is known.
    pub(super) fn request_ended(&self) -> Option<u64> {
        if self.requests.fetch_sub(1, Ordering::Relaxed) > 1 {
            return None;
        }
        let now = self.now();
        self.idle_since.store(now, Ordering::Relaxed);
        Some(now)
    }

    /// Restarts the idle time-out.
    pub(super) fn restart_idle(&self) {
        self.idle_since.store(self.now(), Ordering::Relaxed);
    }

    /// Restarts the time-out of a head, if one has begun.
    pub(super) fn restart_head(&self) {
        if self.head_since.load(Ordering::Relaxed) != 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Records that bytes have arrived, which wake a parked connection. Between two HTTP/1 requests they begin a head; HTTP/2
    /// has frames of other kinds.
    pub(super) fn bytes_read(&self) {
        self.set_parked(false);
        let is_between = self.requests.load(Ordering::Relaxed) == 0;
        if is_between && !self.is_h2 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Records that the client does not read at the moment.
    pub(super) fn write_blocked(&self) {
        if self.write_since.load(Ordering::Relaxed) == 0 {
            self.write_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// `true` while the client does not read.
    pub(super) fn is_write_blocked(&self) -> bool {
        self.write_since.load(Ordering::Relaxed) != 0
    }

    /// Records that the client reads again. The rest of a response may have been sent just now, after the request had ended
    /// for the proxy, so the idle time begins only here.
    pub(super) fn write_unblocked(&self) {
        if self.write_since.load(Ordering::Relaxed) != 0 {
            self.write_since.store(0, Ordering::Relaxed);
            self.restart_idle();
        }
    }

    /// Records that a body has handed over a chunk for the client.
    pub(super) fn chunk_queued(&self) {
        if self.is_h2 {
            return;
        }
        self.pending_chunks.fetch_add(1, Ordering::Relaxed);
        self.pending_since.store(self.now(), Ordering::Relaxed);
    }

    /// Records that such a chunk was sent, or that its body is gone.
    pub(super) fn chunk_done(&self) {
        if self.is_h2 {
            return;
        }
        self.pending_chunks.fetch_sub(1, Ordering::Relaxed);
        self.pending_since.store(self.now(), Ordering::Relaxed);
    }

    /// Records that the connection was parked, or that bytes have woken it.
    pub(super) fn set_parked(&self, is_parked: bool) {
        self.is_parked.store(is_parked, Ordering::Relaxed);
    }

    pub(super) fn is_parked(&self) -> bool {
        self.is_parked.load(Ordering::Relaxed)
    }

    /// `true` between the first byte of a request's head and its last.
    pub(in crate::server) fn is_reading_head(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) != 0
    }

    /// `true` if bytes of the latest request are still to be read, of its head or of its body.
    pub(super) fn has_unread_request(&self) -> bool {
        self.is_reading_head() || self.has_unread_body()
    }

    fn has_unread_body(&self) -> bool {
        self.has_body.load(Ordering::Relaxed) && self.upload_left.load(Ordering::Relaxed) > 0
    }

    /// Returns when the latest request was answered. A head that was refused was answered just now.
    pub(super) fn answered(&self) -> Instant {
        if self.has_unread_body() {
            let idle_since = self.idle_since.load(Ordering::Relaxed);
            self.began + Duration::from_millis(idle_since.saturating_sub(1))
        } else {
            Instant::now()
        }
    }

    fn is_unused(&self) -> bool {
        let is_zero = |moment: &AtomicU64| moment.load(Ordering::Relaxed) == 0;
        self.requests.load(Ordering::Relaxed) == 0
            && is_zero(&self.head_since)
            && is_zero(&self.write_since)
            && self.pending_chunks.load(Ordering::Relaxed) == 0
            && !self.has_body.load(Ordering::Relaxed)
    }

    /// Returns when to park the connection, or to check again whether it can be parked: after `recheck` while it is in use.
    fn park_at(&self, now: Instant, recheck: Duration) -> Option<Instant> {
        if self.is_h2 || self.is_parked() {
            return None;
        }
        Some(if self.is_unused() {
            let idle_since = self.idle_since.load(Ordering::Relaxed);
            self.began + Duration::from_micros(idle_since.saturating_sub(1)) + PARK_AFTER
        } else {
            now + recheck
        })
    }

    /// Checks all deadlines. A connection that could be parked but for its being in use is checked again after `recheck`.
    pub(super) fn check(&self, timeouts: Timeouts, recheck: Duration) -> Check {
        let now = Instant::now();
        // A deadline that is set only after this check passes no earlier than after the shortest of the time-outs.
        let shortest = timeouts.shortest();
        let next = match self.deadline(timeouts) {
            Some((at, missed)) if at <= now => return Check::Missed(missed),
            Some((at, _)) => at.min(now + shortest),
            None => now + shortest,
        };
        match self.park_at(now, recheck) {
            Some(at) if at <= now => Check::Unused,
            Some(at) => Check::Again(at.min(next)),
            None => Check::Again(next),
        }
    }

    /// Returns the earliest deadline.
    fn deadline(&self, timeouts: Timeouts) -> Option<(Instant, Missed)> {
        let at = |since: u64, limit: Duration| {
            (since != 0).then(|| self.began + Duration::from_micros(since - 1) + limit)
        };
        let is_idle = self.requests.load(Ordering::Relaxed) == 0;
        let head = at(self.head_since.load(Ordering::Relaxed), timeouts.header);
        let idle = at(self.idle_since.load(Ordering::Relaxed), timeouts.idle);
        let write = at(self.write_since.load(Ordering::Relaxed), timeouts.body);
        let has_pending = self.pending_chunks.load(Ordering::Relaxed) > 0;
        let pending = at(self.pending_since.load(Ordering::Relaxed), timeouts.body);
        [
            head.filter(|_| is_idle).map(|at| (at, Missed::Head)),
            idle.filter(|_| is_idle && head.is_none() && write.is_none())
                .map(|at| (at, Missed::Idle)),
            write.map(|at| (at, Missed::Stalled)),
            pending
                .filter(|_| has_pending)
                .map(|at| (at, Missed::Stalled)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn missed(deadlines: &Deadlines) -> Missed {
        let timeouts = Timeouts::of(&Limits::default());
        loop {
            match deadlines.check(timeouts, PARK_AFTER) {
                Check::Again(at) => tokio::time::sleep_until(at).await,
                Check::Unused => deadlines.set_parked(true),
                Check::Missed(missed) => return missed,
            }
        }
    }

    async fn missed_after(deadlines: &Deadlines) -> (Missed, u64) {
        let start = Instant::now();
        let missed = missed(deadlines).await;
        (missed, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_has_the_time_of_a_head() {
        assert_eq!(
            missed_after(&Deadlines::new(false)).await,
            (Missed::Head, 30)
        );
        assert_eq!(
            missed_after(&Deadlines::new(true)).await,
            (Missed::Head, 30)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_between_two_requests_may_be_idle_for_longer() {
        let deadlines = Deadlines::new(false);
        deadlines.request_began();
        deadlines.request_ended();
        assert_eq!(missed_after(&deadlines).await, (Missed::Idle, 75));
        deadlines.bytes_read();
        assert_eq!(missed_after(&deadlines).await, (Missed::Head, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_whose_last_bytes_wait_for_the_client_is_not_idle() {
        let deadlines = Deadlines::new(true);
        deadlines.request_began();
        deadlines.write_blocked();
        deadlines.request_ended();
        tokio::time::advance(Duration::from_secs(50)).await;
        deadlines.write_unblocked();
        assert_eq!(missed_after(&deadlines).await, (Missed::Idle, 75));
        deadlines.write_blocked();
        assert_eq!(missed_after(&deadlines).await, (Missed::Stalled, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_request_has_no_deadline_unless_its_client_stalls() {
        let day = Duration::from_secs(86_400);
        for is_h2 in [false, true] {
            let deadlines = Deadlines::new(is_h2);
            deadlines.request_began();
            assert!(tokio::time::timeout(day, missed(&deadlines)).await.is_err());

            deadlines.write_blocked();
            assert_eq!(missed_after(&deadlines).await, (Missed::Stalled, 60));
            deadlines.write_unblocked();
            assert!(tokio::time::timeout(day, missed(&deadlines)).await.is_err());

            deadlines.chunk_queued();
            if is_h2 {
                // The stream of the chunk has a deadline of its own.
                assert!(tokio::time::timeout(day, missed(&deadlines)).await.is_err());
                continue;
            }
            assert_eq!(missed_after(&deadlines).await, (Missed::Stalled, 60));
            deadlines.chunk_done();
            assert!(tokio::time::timeout(day, missed(&deadlines)).await.is_err());
        }
    }

    async fn is_parked(deadlines: &Deadlines) -> bool {
        let timeouts = Timeouts::of(&Limits::default());
        let until = Instant::now() + 3 * PARK_AFTER;
        while Instant::now() < until {
            match deadlines.check(timeouts, PARK_AFTER) {
                Check::Again(at) => tokio::time::sleep_until(at).await,
                Check::Unused => return true,
                Check::Missed(missed) => panic!("{missed:?}"),
            }
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_parked_once_its_request_is_over_and_all_was_read_and_sent() {
        let deadlines = Deadlines::new(false);
        assert!(!is_parked(&deadlines).await, "its first request is awaited");
        deadlines.request_began();
        assert!(!is_parked(&deadlines).await, "a request runs");
        deadlines.request_ended();
        assert!(is_parked(&deadlines).await);

        deadlines.write_blocked();
        assert!(!is_parked(&deadlines).await, "the response is not out");
        deadlines.write_unblocked();
        deadlines.set_has_body(true);
        assert!(!is_parked(&deadlines).await, "the body may be rejected");
        deadlines.set_has_body(false);
        deadlines.bytes_read();
        assert!(!is_parked(&deadlines).await, "the next request came");
    }

    #[tokio::test(start_paused = true)]
    async fn neither_http_2_nor_parked_connections_are_parked() {
        for is_h2 in [false, true] {
            let deadlines = Deadlines::new(is_h2);
            deadlines.request_began();
            deadlines.request_ended();
            deadlines.set_parked(true);
            assert!(!is_parked(&deadlines).await);
            deadlines.set_parked(false);
            assert_eq!(is_parked(&deadlines).await, !is_h2);
        }
    }
}
