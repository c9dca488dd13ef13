//! Health of one backend: active check and passive ejection. Every request reads it. Requests write it only
//! after a failure and during the recovery from one, so that workers rarely invalidate each other's caches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::backend_state::BackendState;
use super::health_record::HealthRecord;
use super::slow_start::{FULL_SHARE, SlowStart};
use crate::backoff::spread;
use crate::upstream::options::BalanceOptions;

/// Longest ejection, unless `eject-time` is longer.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);
/// Part of an ejection by which its length varies at random, so that several backends do not all return at once.
const EJECTION_JITTER: f64 = 0.2;
/// Time since the last recovery after which the next ejection is short again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5 * 60);
/// Time after which another trial request is let through, if the first has no outcome yet.
const TRIAL: Duration = Duration::from_secs(5);

/// The active check fails.
const DOWN: u32 = 1;
/// The last request failed.
const FAILED: u32 = 1 << 1;
/// So many requests in a row failed that the backend gets none until `ejected_until`. The mark stays until it recovers.
const EJECTED: u32 = 1 << 2;
/// The ejection time is over, and one request tries if the backend works again.
const ON_TRIAL: u32 = 1 << 3;
/// The backend has recovered and gets less than its full share.
const SLOW_START: u32 = 1 << 4;
/// The backend is ejected, but got a request because all other backends are down or ejected too.
const LAST_RESORT: u32 = 1 << 5;

/// Health of one backend.
#[derive(Debug)]
pub(in crate::upstream) struct HealthState {
    /// Set of the bits above. Zero means good health, so that most requests only need this one load.
    marks: AtomicU32,
    /// Number of failures in a row.
    failures: AtomicU16,
    /// Number of ejections, by which their length grows.
    ejections: AtomicU16,
    /// End of the ejection, in milliseconds since `epoch`.
    ejected_until: AtomicU64,
    /// Time of the last recovery, in milliseconds since `epoch`.
    recovered_at: AtomicU64,
    epoch: Instant,
    max_fails: u16,
    eject_time: Duration,
    slow_start: SlowStart,
    record: Arc<HealthRecord>,
}

impl HealthState {
    /// A state of good health, with the rules in `options`.
    pub(in crate::upstream) fn new(options: &BalanceOptions) -> Self {
        Self {
            marks: AtomicU32::new(0),
            failures: AtomicU16::new(0),
            ejections: AtomicU16::new(0),
            ejected_until: AtomicU64::new(0),
            recovered_at: AtomicU64::new(0),
            epoch: Instant::now(),
            max_fails: options.max_fails,
            eject_time: options.eject_time,
            slow_start: SlowStart::new(options.slow_start),
            record: Arc::default(),
        }
    }

    /// Copies the state, with the rules in `options`.
    pub(in crate::upstream) fn with_rules(&self, options: &BalanceOptions) -> Self {
        let copy = |value: &AtomicU64| AtomicU64::new(value.load(Ordering::Acquire));
        let copy_count = |value: &AtomicU16| AtomicU16::new(value.load(Ordering::Acquire));
        // Without a check, nothing would ever mark the backend up again.
        let cleared = if options.health.is_some() { 0 } else { DOWN };
        Self {
            marks: AtomicU32::new(self.marks() & !cleared),
            failures: copy_count(&self.failures),
            ejections: copy_count(&self.ejections),
            ejected_until: copy(&self.ejected_until),
            recovered_at: copy(&self.recovered_at),
            epoch: self.epoch,
            record: Arc::clone(&self.record),
            ..Self::new(options)
        }
    }

    /// `true` if the backend is in good health in every respect.
    pub(in crate::upstream) fn is_good(&self) -> bool {
        self.marks() == 0
    }

    /// `true` if the active check fails.
    pub(in crate::upstream) fn is_down(&self) -> bool {
        self.marks() & DOWN != 0
    }

    /// `true` if the active check fails, or if the backend was ejected and has not recovered since.
    pub(in crate::upstream) fn is_out(&self) -> bool {
        self.marks() & (DOWN | EJECTED) != 0
    }

    /// `true` if the backend gets no requests because of failures.
    pub(in crate::upstream) fn is_ejected(&self, now: Instant) -> bool {
        self.marks() & EJECTED != 0 && self.millis(now) < self.ejected_until.load(Ordering::Acquire)
    }

    /// Record for people.
    pub(in crate::upstream) fn record(&self) -> &HealthRecord {
        &self.record
    }

    /// Returns whether the backend gets requests.
    pub(super) fn state(&self, now: Instant) -> BackendState {
        let marks = self.marks();
        if marks & DOWN != 0 {
            BackendState::Down
        } else if marks & EJECTED != 0 {
            let until = self.ejected_until.load(Ordering::Acquire);
            BackendState::Ejected(Duration::from_millis(
                until.saturating_sub(self.millis(now)),
            ))
        } else if marks & SLOW_START != 0 {
            BackendState::SlowStart
        } else {
            BackendState::Up
        }
    }

    /// Share of the backend at this time, in thousandths of its weight.
    pub(in crate::upstream) fn share(&self, now: Instant) -> u32 {
        let marks = self.marks();
        if marks & DOWN != 0 || self.is_ejected(now) {
            return 0;
        }
        if marks & SLOW_START == 0 {
            FULL_SHARE
        } else {
            self.slow_start_share(self.since_recovery(now))
        }
    }

    /// Share of the backend when no backend has a share. Ejected backends are then used anyway, unless their active
    /// check fails.
    pub(in crate::upstream) fn last_resort_share(&self) -> u32 {
        if self.is_down() { 0 } else { FULL_SHARE }
    }

    /// Share during slow start. Ends slow start when its time is over.
    fn slow_start_share(&self, since_recovery: u64) -> u32 {
        let share = self.slow_start.share(since_recovery);
        share.unwrap_or_else(|| {
            self.clear(SLOW_START);
            FULL_SHARE
        })
    }

    /// Admits a request to the backend. Returns `false` if it is ejected, or if another request is already on trial
    /// there.
    ///
    /// A request of last resort that succeeds ends the ejection. One that fails does not prolong it: otherwise most
    /// backends would stay ejected long after an outage of all of them.
    pub(in crate::upstream) fn admit(&self, now: Instant, is_last_resort: bool) -> bool {
        if self.marks() & EJECTED == 0 {
            return true;
        }
        let until = self.ejected_until.load(Ordering::Acquire);
        let now = self.millis(now);
        if now < until {
            if is_last_resort {
                self.set(LAST_RESORT);
            }
            return is_last_resort;
        }
        let next = now + millis(TRIAL);
        let claimed =
            self.ejected_until
                .compare_exchange(until, next, Ordering::AcqRel, Ordering::Relaxed);
        if claimed.is_ok() {
            self.set(ON_TRIAL);
        }
        claimed.is_ok() || is_last_resort
    }

    /// Records a failure. Returns the length of the ejection if this one ejects the backend.
    pub(in crate::upstream) fn record_failure(&self, now: Instant) -> Option<Duration> {
        let failures = self.failures.load(Ordering::Acquire).saturating_add(1);
        self.failures.store(failures, Ordering::Release);
        let marks = self.set(FAILED);
        let until = self.ejected_until.load(Ordering::Acquire);
        let is_ejected = marks & EJECTED != 0 && self.millis(now) < until;
        let was_on_trial = self.clear(ON_TRIAL) & ON_TRIAL != 0;
        // A failed trial starts a new ejection. Other failures during an ejection are of requests from before it, or of
        // last resort.
        if self.max_fails == 0 || failures < self.max_fails || (is_ejected && !was_on_trial) {
            return None;
        }
        let length = self.next_ejection(now);
        let next = self.millis(now) + millis(length);
        // Of several workers that record failures at the same time, only one starts the ejection.
        self.ejected_until
            .compare_exchange(until, next, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        self.ejections.fetch_add(1, Ordering::AcqRel);
        self.record.ejected();
        self.set(EJECTED);
        Some(length)
    }

    fn next_ejection(&self, now: Instant) -> Duration {
        let is_forgotten = self.since_recovery(now) >= millis(FORGOTTEN_AFTER);
        if self.marks() & EJECTED == 0 && is_forgotten {
            self.ejections.store(0, Ordering::Release);
        }
        let doublings = u32::from(self.ejections.load(Ordering::Acquire)).min(16);
        let length = self.eject_time.saturating_mul(1 << doublings);
        let longest = LONGEST_EJECTION.max(self.eject_time);
        spread(length.min(longest), EJECTION_JITTER)
    }

    /// Records that a request has succeeded. Returns `true` if this ends an ejection.
    ///
    /// Only a request on trial or of last resort can end an ejection. Requests from before it prove nothing: a backend
    /// that shuts down still finishes them.
    pub(in crate::upstream) fn record_success(&self, now: Instant) -> bool {
        let marks = self.marks();
        let is_tried = marks & (ON_TRIAL | LAST_RESORT) != 0;
        if marks & (FAILED | EJECTED) == 0 || (marks & EJECTED != 0 && !is_tried) {
            return false;
        }
        self.failures.store(0, Ordering::Release);
        if self.clear(FAILED | EJECTED | ON_TRIAL | LAST_RESORT) & EJECTED == 0 {
            return false;
        }
        self.ejected_until.store(0, Ordering::Release);
        self.recover(now);
        true
    }

    /// Records that the active check fails.
    pub(in crate::upstream) fn mark_down(&self) {
        self.set(DOWN);
    }

    /// Records that the active check succeeds again.
    pub(in crate::upstream) fn mark_up(&self, now: Instant) {
        self.failures.store(0, Ordering::Release);
        if self.clear(DOWN | FAILED | EJECTED | ON_TRIAL | LAST_RESORT) & DOWN != 0 {
            self.ejected_until.store(0, Ordering::Release);
            self.recover(now);
        }
    }

    fn recover(&self, now: Instant) {
        self.recovered_at.store(self.millis(now), Ordering::Release);
        if self.slow_start.is_on() {
            self.set(SLOW_START);
        }
    }

    /// Milliseconds since the last recovery, or since `epoch` if there was none.
    fn since_recovery(&self, now: Instant) -> u64 {
        let recovered_at = self.recovered_at.load(Ordering::Acquire);
        self.millis(now).saturating_sub(recovered_at)
    }

    fn marks(&self) -> u32 {
        self.marks.load(Ordering::Acquire)
    }

    /// Sets marks. Returns all marks from before.
    fn set(&self, marks: u32) -> u32 {
        self.marks.fetch_or(marks, Ordering::AcqRel)
    }

    /// Clears marks. Returns all marks from before.
    fn clear(&self, marks: u32) -> u32 {
        self.marks.fetch_and(!marks, Ordering::AcqRel)
    }

    /// Milliseconds since `epoch`.
    fn millis(&self, now: Instant) -> u64 {
        millis(now.duration_since(self.epoch))
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::backend::slow_start::FIRST_SHARE;

    fn health() -> HealthState {
        HealthState::new(&BalanceOptions::default())
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn ejected(health_state: &HealthState, now: Instant) -> f64 {
        let lengths: Vec<_> = (0..3).map(|_| health_state.record_failure(now)).collect();
        assert_eq!(lengths[..2], [None, None]);
        lengths[2].unwrap().as_secs_f64()
    }

    #[test]
    fn only_failures_in_a_row_eject_a_backend() {
        let (health_state, now) = (health(), Instant::now());
        for _ in 0..10 {
            health_state.record_failure(now);
            health_state.record_failure(now);
            assert!(!health_state.record_success(now));
        }
        assert!(health_state.is_good());
        let length = ejected(&health_state, now);
        assert!((4.0..=6.0).contains(&length), "{length}");
        assert_eq!(health_state.share(now), 0);
        assert_eq!(health_state.last_resort_share(), FULL_SHARE);
    }

    #[test]
    fn after_an_ejection_one_request_is_on_trial() {
        let (health_state, now) = (health(), Instant::now());
        ejected(&health_state, now);
        assert!(!health_state.admit(now, false));
        let later = after(now, 7);
        assert_eq!(health_state.share(later), FULL_SHARE);
        assert!(health_state.admit(later, false));
        assert!(
            !health_state.admit(later, false),
            "another request is on trial"
        );
        assert_eq!(health_state.share(later), 0);
        assert!(health_state.record_success(later));
        assert_eq!(health_state.share(later), FIRST_SHARE);
        assert_eq!(
            health_state.share(after(later, 5)),
            FIRST_SHARE + (FULL_SHARE - FIRST_SHARE) / 2
        );
        assert_eq!(health_state.share(after(later, 10)), FULL_SHARE);
        assert!(health_state.is_good());
    }

    #[test]
    fn each_failed_trial_doubles_the_ejection_up_to_a_minute() {
        let (health_state, start) = (health(), Instant::now());
        ejected(&health_state, start);
        let mut now = start;
        for expected in [10.0, 20.0, 40.0, 60.0, 60.0] {
            now = after(now, 90);
            assert!(health_state.admit(now, false));
            let length = health_state.record_failure(now).unwrap().as_secs_f64();
            let bounds = expected * 0.8..=expected * 1.2;
            assert!(bounds.contains(&length), "{length} for {expected}");
            assert_eq!(health_state.record_failure(now), None, "the trial is over");
        }
        now = after(now, 90);
        assert!(health_state.admit(now, false));
        assert!(health_state.record_success(now));
        assert!(ejected(&health_state, after(now, 1)) > 40.0);
        now = after(now, 200);
        assert!(health_state.admit(now, false) && health_state.record_success(now));
        let length = ejected(&health_state, after(now, 301));
        assert!(length <= 6.0, "earlier ejections are forgotten: {length}");
    }

    #[test]
    fn a_request_from_before_the_ejection_does_not_end_it() {
        let (health_state, now) = (health(), Instant::now());
        ejected(&health_state, now);
        assert!(!health_state.record_success(now));
        assert_eq!(health_state.share(now), 0);
        assert!(health_state.admit(now, true), "as a last resort");
        assert!(health_state.record_success(now));
        assert!(health_state.share(now) > 0);
    }

    #[test]
    fn failed_requests_of_last_resort_do_not_prolong_the_ejection() {
        let (health_state, now) = (health(), Instant::now());
        ejected(&health_state, now);
        for _ in 0..100 {
            assert!(health_state.admit(now, true));
            assert_eq!(health_state.record_failure(now), None);
        }
        assert!(!health_state.is_ejected(after(now, 7)));
    }

    #[test]
    fn the_active_check_overrides_successful_requests() {
        let (health_state, now) = (health(), Instant::now());
        health_state.mark_down();
        assert_eq!(
            (health_state.share(now), health_state.last_resort_share()),
            (0, 0)
        );
        health_state.record_success(now);
        assert!(health_state.is_down());
        health_state.mark_up(now);
        assert_eq!(health_state.share(now), FIRST_SHARE);
    }

    #[test]
    fn ejection_and_slow_start_can_be_turned_off() {
        let options = BalanceOptions {
            max_fails: 0,
            slow_start: Duration::ZERO,
            ..BalanceOptions::default()
        };
        let (health_state, now) = (HealthState::new(&options), Instant::now());
        for _ in 0..100 {
            assert_eq!(health_state.record_failure(now), None);
        }
        health_state.mark_down();
        health_state.mark_up(now);
        assert!(health_state.is_good());
    }

    #[test]
    fn health_is_kept_when_the_rules_change() {
        let (health_state, now) = (health(), Instant::now());
        ejected(&health_state, now);
        let next = health_state.with_rules(&BalanceOptions {
            max_fails: 1,
            ..BalanceOptions::default()
        });
        assert!(next.is_ejected(now));
        assert_eq!(next.max_fails, 1);
    }
}
