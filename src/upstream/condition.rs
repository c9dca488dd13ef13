//! What is known of a backend's health. The requests of all runtimes read it, and write it only when something goes wrong
//! or is over.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::balance::Balancing;
use crate::backoff::spread;

/// The part of its requests that a backend gets in good health.
pub(super) const WHOLE: u32 = 1000;
/// The part that one gets which has just come back.
const LEAST: u32 = WHOLE / 10;

/// How long a backend is out at most, unless a longer time is asked for.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);
const EJECTION_JITTER: f64 = 0.2;
/// A backend that has been well for so long starts over with short ejections.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5 * 60);
/// How long a request of a trial may take until another one is let through.
const TRIAL: Duration = Duration::from_secs(5);

/// The active check fails.
const DOWN: u32 = 1;
/// The last requests failed.
const FAILED: u32 = 1 << 1;
/// So many did that it gets none for a while.
const EJECTED: u32 = 1 << 2;
/// The while is over, and one request finds out.
const ON_TRIAL: u32 = 1 << 3;
/// It has come back and gets less than its part.
const RISING: u32 = 1 << 4;
/// It is out, and is asked all the same because all others are out too.
const DESPERATE: u32 = 1 << 5;

/// The health of one backend, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Condition {
    /// All that is not as it should be.
    marks: AtomicU32,
    failures: AtomicU16,
    ejections: AtomicU16,
    /// In milliseconds since `epoch`, as are the others.
    ejected_until: AtomicU64,
    risen_at: AtomicU64,
    epoch: Instant,
    max_fails: u16,
    eject_time: Duration,
    slow_start: Duration,
}

impl Condition {
    /// In good health, until something shows that it is not.
    pub(super) fn new(options: &Balancing) -> Self {
        Self {
            marks: AtomicU32::new(0),
            failures: AtomicU16::new(0),
            ejections: AtomicU16::new(0),
            ejected_until: AtomicU64::new(0),
            risen_at: AtomicU64::new(0),
            epoch: Instant::now(),
            max_fails: options.max_fails,
            eject_time: options.eject_time,
            slow_start: options.slow_start,
        }
    }

    /// The same health under other rules.
    pub(super) fn under(&self, options: &Balancing) -> Self {
        let copy = |value: &AtomicU64| AtomicU64::new(value.load(Ordering::Acquire));
        let count = |value: &AtomicU16| AtomicU16::new(value.load(Ordering::Acquire));
        // Without a check nobody would ever say that it is up again.
        let forgotten = match options.health {
            Some(_) => 0,
            None => DOWN,
        };
        Self {
            marks: AtomicU32::new(self.marks() & !forgotten),
            failures: count(&self.failures),
            ejections: count(&self.ejections),
            ejected_until: copy(&self.ejected_until),
            risen_at: copy(&self.risen_at),
            epoch: self.epoch,
            ..Self::new(options)
        }
    }

    /// Whether nothing is amiss.
    pub(super) fn is_plain(&self) -> bool {
        self.marks() == 0
    }

    /// Whether the active check fails.
    pub(super) fn is_down(&self) -> bool {
        self.marks() & DOWN != 0
    }

    /// Whether requests keep away because of failures.
    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.marks() & EJECTED != 0 && self.millis(now) < self.ejected_until.load(Ordering::Acquire)
    }

    /// The part of its requests, of a thousand, that the backend may have now.
    pub(super) fn share(&self, now: Instant) -> u32 {
        let marks = self.marks();
        if marks & DOWN != 0 || self.is_ejected(now) {
            return 0;
        }
        match marks & RISING {
            0 => WHOLE,
            _ => self.rising_share(now),
        }
    }

    /// The same where no backend may have any: failures may be worth another try, what the active check says is known.
    pub(super) fn desperate_share(&self) -> u32 {
        match self.is_down() {
            true => 0,
            false => WHOLE,
        }
    }

    fn rising_share(&self, now: Instant) -> u32 {
        let since = self.millis(now) - self.risen_at.load(Ordering::Acquire).min(self.millis(now));
        let whole = u64::try_from(self.slow_start.as_millis()).unwrap_or(u64::MAX);
        if since >= whole {
            self.clear(RISING);
            return WHOLE;
        }
        let risen = u64::from(WHOLE - LEAST) * since / whole;
        LEAST + u32::try_from(risen).unwrap_or(0)
    }

    /// Takes note that a request goes here. `false` if another one is finding out already whether the backend works again.
    ///
    /// A desperate request may bring the backend back. If it fails, that makes the ejection no longer: else an outage of all
    /// would keep most of them out long after it is over.
    pub(super) fn enter(&self, now: Instant, is_desperate: bool) -> bool {
        if self.marks() & EJECTED == 0 {
            return true;
        }
        let until = self.ejected_until.load(Ordering::Acquire);
        let now = self.millis(now);
        if now < until {
            if is_desperate {
                self.set(DESPERATE);
            }
            return is_desperate;
        }
        let next = now + millis(TRIAL);
        let claimed =
            self.ejected_until
                .compare_exchange(until, next, Ordering::AcqRel, Ordering::Relaxed);
        if claimed.is_ok() {
            self.set(ON_TRIAL);
        }
        claimed.is_ok() || is_desperate
    }

    /// Takes note of a failure. Returns for how long the backend is out, if this put it out.
    pub(super) fn fail(&self, now: Instant) -> Option<Duration> {
        let failures = self.failures.load(Ordering::Acquire).saturating_add(1);
        self.failures.store(failures, Ordering::Release);
        let marks = self.set(FAILED);
        let until = self.ejected_until.load(Ordering::Acquire);
        let is_out = marks & EJECTED != 0 && self.millis(now) < until;
        let was_on_trial = self.clear(ON_TRIAL) & ON_TRIAL != 0;
        if self.max_fails == 0 || failures < self.max_fails || (is_out && !was_on_trial) {
            return None;
        }
        let length = self.next_ejection(now);
        let next = self.millis(now) + millis(length);
        self.ejected_until
            .compare_exchange(until, next, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        self.ejections.fetch_add(1, Ordering::AcqRel);
        self.set(EJECTED);
        Some(length)
    }

    fn next_ejection(&self, now: Instant) -> Duration {
        let well = self.millis(now) - self.risen_at.load(Ordering::Acquire).min(self.millis(now));
        if self.marks() & EJECTED == 0 && well >= millis(FORGOTTEN_AFTER) {
            self.ejections.store(0, Ordering::Release);
        }
        let doublings = u32::from(self.ejections.load(Ordering::Acquire)).min(16);
        let length = self.eject_time.saturating_mul(1 << doublings);
        let longest = LONGEST_EJECTION.max(self.eject_time);
        spread(length.min(longest), EJECTION_JITTER)
    }

    /// Takes note that a request was served. Returns whether this brought the backend back.
    ///
    /// A request that was under way when the backend was put out does not bring it back: one that shuts down serves its old
    /// connections to the end.
    pub(super) fn succeed(&self, now: Instant) -> bool {
        let marks = self.marks();
        let is_asked = marks & (ON_TRIAL | DESPERATE) != 0;
        if marks & (FAILED | EJECTED) == 0 || (marks & EJECTED != 0 && !is_asked) {
            return false;
        }
        self.failures.store(0, Ordering::Release);
        if self.clear(FAILED | EJECTED | ON_TRIAL | DESPERATE) & EJECTED == 0 {
            return false;
        }
        self.ejected_until.store(0, Ordering::Release);
        self.rise(now);
        true
    }

    /// The active check fails for good.
    pub(super) fn go_down(&self) {
        self.set(DOWN);
    }

    /// The active check is well again.
    pub(super) fn come_up(&self, now: Instant) {
        self.failures.store(0, Ordering::Release);
        if self.clear(DOWN | FAILED | EJECTED | ON_TRIAL | DESPERATE) & DOWN != 0 {
            self.ejected_until.store(0, Ordering::Release);
            self.rise(now);
        }
    }

    fn rise(&self, now: Instant) {
        self.risen_at.store(self.millis(now), Ordering::Release);
        if !self.slow_start.is_zero() {
            self.set(RISING);
        }
    }

    fn marks(&self) -> u32 {
        self.marks.load(Ordering::Acquire)
    }

    fn set(&self, marks: u32) -> u32 {
        self.marks.fetch_or(marks, Ordering::AcqRel)
    }

    fn clear(&self, marks: u32) -> u32 {
        self.marks.fetch_and(!marks, Ordering::AcqRel)
    }

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

    fn condition() -> Condition {
        Condition::new(&Balancing::default())
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn ejected(condition: &Condition, now: Instant) -> f64 {
        let lengths: Vec<_> = (0..3).map(|_| condition.fail(now)).collect();
        assert_eq!(lengths[..2], [None, None]);
        lengths[2].unwrap().as_secs_f64()
    }

    #[test]
    fn failures_in_a_row_put_a_backend_out_and_successes_between_them_do_not() {
        let (condition, now) = (condition(), Instant::now());
        for _ in 0..10 {
            condition.fail(now);
            condition.fail(now);
            assert!(!condition.succeed(now));
        }
        assert!(condition.is_plain());
        let length = ejected(&condition, now);
        assert!((4.0..=6.0).contains(&length), "{length}");
        assert_eq!(condition.share(now), 0);
        assert_eq!(condition.desperate_share(), WHOLE);
    }

    #[test]
    fn one_request_finds_out_whether_it_works_again() {
        let (condition, now) = (condition(), Instant::now());
        ejected(&condition, now);
        assert!(!condition.enter(now, false));
        let later = after(now, 7);
        assert_eq!(condition.share(later), WHOLE);
        assert!(condition.enter(later, false));
        assert!(!condition.enter(later, false), "one is on its way already");
        assert_eq!(condition.share(later), 0);
        assert!(condition.succeed(later));
        assert_eq!(condition.share(later), LEAST);
        assert_eq!(
            condition.share(after(later, 5)),
            LEAST + (WHOLE - LEAST) / 2
        );
        assert_eq!(condition.share(after(later, 10)), WHOLE);
        assert!(condition.is_plain());
    }

    #[test]
    fn each_failed_trial_makes_the_ejection_longer_up_to_a_minute() {
        let (condition, start) = (condition(), Instant::now());
        ejected(&condition, start);
        let mut now = start;
        for expected in [10.0, 20.0, 40.0, 60.0, 60.0] {
            now = after(now, 90);
            assert!(condition.enter(now, false));
            let length = condition.fail(now).unwrap().as_secs_f64();
            let bounds = expected * 0.8..=expected * 1.2;
            assert!(bounds.contains(&length), "{length} for {expected}");
            assert_eq!(condition.fail(now), None, "the trial is over");
        }
        now = after(now, 90);
        assert!(condition.enter(now, false));
        assert!(condition.succeed(now));
        assert!(ejected(&condition, after(now, 1)) > 40.0);
        now = after(now, 200);
        assert!(condition.enter(now, false) && condition.succeed(now));
        let length = ejected(&condition, after(now, 301));
        assert!(length <= 6.0, "it has been well for long: {length}");
    }

    #[test]
    fn a_request_from_before_the_ejection_does_not_bring_the_backend_back() {
        let (condition, now) = (condition(), Instant::now());
        ejected(&condition, now);
        assert!(!condition.succeed(now));
        assert_eq!(condition.share(now), 0);
        assert!(condition.enter(now, true), "where there is none better");
        assert!(condition.succeed(now));
        assert!(condition.share(now) > 0);
    }

    #[test]
    fn an_outage_of_all_makes_no_ejection_longer() {
        let (condition, now) = (condition(), Instant::now());
        ejected(&condition, now);
        for _ in 0..100 {
            assert!(condition.enter(now, true));
            assert_eq!(condition.fail(now), None);
        }
        assert!(!condition.is_ejected(after(now, 7)));
    }

    #[test]
    fn the_active_check_has_the_last_word() {
        let (condition, now) = (condition(), Instant::now());
        condition.go_down();
        assert_eq!((condition.share(now), condition.desperate_share()), (0, 0));
        condition.succeed(now);
        assert!(condition.is_down());
        condition.come_up(now);
        assert_eq!(condition.share(now), LEAST);
    }

    #[test]
    fn what_is_told_to_be_off_is_off() {
        let options = Balancing {
            max_fails: 0,
            slow_start: Duration::ZERO,
            ..Balancing::default()
        };
        let (condition, now) = (Condition::new(&options), Instant::now());
        for _ in 0..100 {
            assert_eq!(condition.fail(now), None);
        }
        condition.go_down();
        condition.come_up(now);
        assert!(condition.is_plain());
    }

    #[test]
    fn health_outlives_a_change_of_the_rules() {
        let (condition, now) = (condition(), Instant::now());
        ejected(&condition, now);
        let next = condition.under(&Balancing {
            max_fails: 1,
            ..Balancing::default()
        });
        assert!(next.is_ejected(now));
        assert_eq!(next.max_fails, 1);
    }
}
