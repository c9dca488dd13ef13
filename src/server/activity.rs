//! What one client connection is at, and by when it must get on: the deadlines of a connection
//! without a timer per request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use super::resets::Resets;

/// How long an HTTP/1.1 connection lies unused before it gives its buffers back: longer than a busy one pauses, and
/// short enough that those of many new connections are never there at once.
pub(super) const REST_AFTER: Duration = Duration::from_millis(50);

/// Which deadline a connection missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing is under way and nothing came.
    Idle,
    /// A request's head was begun and not finished.
    Head,
    /// The client does not take what is sent to it.
    Stalled,
}

/// What a look at the deadlines finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// None is missed; the next one may be then.
    Again(Instant),
    /// None is missed, and nothing has come for a while: the connection may rest.
    Unused,
    /// One is missed.
    Overdue(Overdue),
}

/// Moments since the connection began, in milliseconds plus one; 0 is never.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    is_h2: bool,
    requests: AtomicU32,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    write_since: AtomicU64,
    untaken: AtomicU32,
    untaken_since: AtomicU64,
    has_body: AtomicBool,
    is_resting: AtomicBool,
    is_kept_open: AtomicBool,
    resets: Resets,
}

impl Activity {
    pub(super) fn new(is_h2: bool) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            is_h2,
            requests: AtomicU32::new(0),
            idle_since: AtomicU64::new(1),
            // The first request is awaited from the start.
            head_since: AtomicU64::new(1),
            write_since: AtomicU64::new(0),
            untaken: AtomicU32::new(0),
            untaken_since: AtomicU64::new(0),
            has_body: AtomicBool::new(false),
            is_resting: AtomicBool::new(false),
            is_kept_open: AtomicBool::new(false),
            resets: Resets::default(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    pub(super) fn request_began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    /// Whether the request that began last has a body. What is left of it may be unread when the response is over, so
    /// that only the protocol's own state knows where the next request begins.
    pub(super) fn has_body(&self, has_body: bool) {
        self.has_body.store(has_body, Ordering::Relaxed);
    }

    pub(super) fn request_ended(&self) {
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The time of an idle connection begins anew.
    pub(super) fn idle_again(&self) {
        self.idle_since.store(self.now(), Ordering::Relaxed);
    }

    /// Bytes came. Between two HTTP/1 requests they begin a head; HTTP/2 has frames of other kinds.
    pub(super) fn read(&self) {
        let is_between = self.requests.load(Ordering::Relaxed) == 0;
        if is_between && !self.is_h2 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    pub(super) fn write_blocked(&self) {
        if self.write_since.load(Ordering::Relaxed) == 0 {
            self.write_since.store(self.now(), Ordering::Relaxed);
        }
    }

    pub(super) fn written(&self) {
        if self.write_since.load(Ordering::Relaxed) != 0 {
            self.write_since.store(0, Ordering::Relaxed);
        }
    }

    /// A body handed a piece over that the client has yet to take.
    pub(super) fn piece_handed(&self) {
        self.untaken.fetch_add(1, Ordering::Relaxed);
        self.untaken_since.store(self.now(), Ordering::Relaxed);
    }

    /// That piece went out, or its body is gone.
    pub(super) fn piece_taken(&self) {
        self.untaken.fetch_sub(1, Ordering::Relaxed);
        self.untaken_since.store(self.now(), Ordering::Relaxed);
    }

    /// The connection rests until bytes come, or is awake again.
    pub(super) fn set_resting(&self, is_resting: bool) {
        self.is_resting.store(is_resting, Ordering::Relaxed);
    }

    pub(super) fn is_resting(&self) -> bool {
        self.is_resting.load(Ordering::Relaxed)
    }

    /// While it is kept open, the end of the protocol's state is not that of the stream.
    pub(super) fn keep_open(&self, is_kept_open: bool) {
        self.is_kept_open.store(is_kept_open, Ordering::Relaxed);
    }

    pub(super) fn is_kept_open(&self) -> bool {
        self.is_kept_open.load(Ordering::Relaxed)
    }

    /// Whether a request's head is awaited or under way.
    pub(super) fn awaits_head(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) != 0
    }

    /// The streams that were refused and not told of.
    pub(super) fn resets(&self) -> &Resets {
        &self.resets
    }

    pub(super) fn is_h2(&self) -> bool {
        self.is_h2
    }

    fn is_unused(&self) -> bool {
        let is_zero = |moment: &AtomicU64| moment.load(Ordering::Relaxed) == 0;
        self.requests.load(Ordering::Relaxed) == 0
            && is_zero(&self.head_since)
            && is_zero(&self.write_since)
            && self.untaken.load(Ordering::Relaxed) == 0
            && !self.has_body.load(Ordering::Relaxed)
    }

    /// When a connection that could rest does so, or is to be asked again.
    fn rest_at(&self, now: Instant, patience: Duration) -> Option<Instant> {
        if self.is_h2 || self.is_resting() {
            return None;
        }
        let idle_since = self.idle_since.load(Ordering::Relaxed);
        Some(match self.is_unused() {
            true => self.began + Duration::from_millis(idle_since.saturating_sub(1)) + REST_AFTER,
            false => now + patience,
        })
    }

    /// Whether the connection has missed a deadline, and when to look again if it has not: after `patience` if all that
    /// stands against its rest is that it is in use.
    pub(super) fn look(&self, limits: &Limits, idle_timeout: Duration, patience: Duration) -> Look {
        let now = Instant::now();
        // No deadline that is not set yet can pass before the shortest of the time-outs has.
        let shortest = limits
            .header_timeout
            .min(idle_timeout)
            .min(limits.body_timeout);
        let next = match self.deadline(limits, idle_timeout) {
            Some((at, overdue)) if at <= now => return Look::Overdue(overdue),
            Some((at, _)) => at.min(now + shortest),
            None => now + shortest,
        };
        match self.rest_at(now, patience) {
            Some(at) if at <= now => Look::Unused,
            Some(at) => Look::Again(at.min(next)),
            None => Look::Again(next),
        }
    }

    fn deadline(&self, limits: &Limits, idle_timeout: Duration) -> Option<(Instant, Overdue)> {
        let at = |since: u64, limit: Duration| {
            (since != 0).then(|| self.began + Duration::from_millis(since - 1) + limit)
        };
        let is_idle = self.requests.load(Ordering::Relaxed) == 0;
        let head = at(
            self.head_since.load(Ordering::Relaxed),
            limits.header_timeout,
        );
        let idle = at(self.idle_since.load(Ordering::Relaxed), idle_timeout);
        let write = at(
            self.write_since.load(Ordering::Relaxed),
            limits.body_timeout,
        );
        let has_untaken = self.untaken.load(Ordering::Relaxed) > 0;
        let untaken = at(
            self.untaken_since.load(Ordering::Relaxed),
            limits.body_timeout,
        );
        [
            head.filter(|_| is_idle).map(|at| (at, Overdue::Head)),
            idle.filter(|_| is_idle && head.is_none())
                .map(|at| (at, Overdue::Idle)),
            write.map(|at| (at, Overdue::Stalled)),
            untaken
                .filter(|_| has_untaken)
                .map(|at| (at, Overdue::Stalled)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn overdue(activity: &Activity) -> Overdue {
        let limits = Limits::default();
        loop {
            match activity.look(&limits, limits.idle_timeout, REST_AFTER) {
                Look::Again(at) => tokio::time::sleep_until(at).await,
                Look::Unused => activity.set_resting(true),
                Look::Overdue(overdue) => return overdue,
            }
        }
    }

    async fn overdue_after(activity: &Activity) -> (Overdue, u64) {
        let start = Instant::now();
        let overdue = overdue(activity).await;
        (overdue, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_has_the_time_of_a_head() {
        assert_eq!(
            overdue_after(&Activity::new(false)).await,
            (Overdue::Head, 30)
        );
        assert_eq!(
            overdue_after(&Activity::new(true)).await,
            (Overdue::Head, 30)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_between_two_requests_may_be_idle_for_longer() {
        let activity = Activity::new(false);
        activity.request_began();
        activity.request_ended();
        assert_eq!(overdue_after(&activity).await, (Overdue::Idle, 75));
        activity.read();
        assert_eq!(overdue_after(&activity).await, (Overdue::Head, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_request_has_no_deadline_unless_its_client_stalls() {
        let activity = Activity::new(true);
        activity.request_began();
        let day = Duration::from_secs(86_400);
        assert!(tokio::time::timeout(day, overdue(&activity)).await.is_err());

        activity.piece_handed();
        assert_eq!(overdue_after(&activity).await, (Overdue::Stalled, 60));
        activity.piece_taken();
        assert!(tokio::time::timeout(day, overdue(&activity)).await.is_err());

        activity.write_blocked();
        assert_eq!(overdue_after(&activity).await, (Overdue::Stalled, 60));
        activity.written();
        assert!(tokio::time::timeout(day, overdue(&activity)).await.is_err());
    }

    async fn rests(activity: &Activity) -> bool {
        let limits = Limits::default();
        let until = Instant::now() + 3 * REST_AFTER;
        while Instant::now() < until {
            match activity.look(&limits, limits.idle_timeout, REST_AFTER) {
                Look::Again(at) => tokio::time::sleep_until(at).await,
                Look::Unused => return true,
                Look::Overdue(overdue) => panic!("{overdue:?}"),
            }
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_once_its_request_is_over_and_all_was_read_and_sent() {
        let activity = Activity::new(false);
        assert!(!rests(&activity).await, "its first request is awaited");
        activity.request_began();
        assert!(!rests(&activity).await, "a request runs");
        activity.request_ended();
        assert!(rests(&activity).await);

        activity.write_blocked();
        assert!(!rests(&activity).await, "the response is not out");
        activity.written();
        activity.has_body(true);
        assert!(!rests(&activity).await, "the body may be unread");
        activity.has_body(false);
        activity.read();
        assert!(!rests(&activity).await, "the next request came");
    }

    #[tokio::test(start_paused = true)]
    async fn neither_http_2_nor_who_rests_already_is_asked_to_rest() {
        for is_h2 in [false, true] {
            let activity = Activity::new(is_h2);
            activity.request_began();
            activity.request_ended();
            activity.set_resting(true);
            assert!(!rests(&activity).await);
            activity.set_resting(false);
            assert_eq!(rests(&activity).await, !is_h2);
        }
    }
}
