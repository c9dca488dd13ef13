//! The renewal plan, which is stored with a certificate: a random time in the renewal window of the CA (RFC 9773), else a
//! fraction of the lifetime.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::lifetime_fraction::by_lifetime;
use crate::acme::RenewalInfo;
use crate::certs::certificate::Certificate;
use crate::certs::clock::{from_unix, unix};
use crate::name::HostPattern;

/// A certificate is renewed while at least 1/20 of its lifetime is left, whatever the CA says.
const MIN_LEFT_PART: u32 = 20;

/// A certificate that is replaced in the first tenth of its lifetime counts as replaced early.
const EARLY_PART: u32 = 10;

/// The minimum age for replacement, by the number of certificates in a row before it that were replaced early. A CA may have
/// to revoke one certificate; a CA that asks for early replacement every time is slowed down.
const MIN_AGE: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(42 * 3600),
];

/// The renewal plan of one certificate. All times are Unix times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalPlan {
    /// The name or pattern that the certificate is for.
    pub subject: String,
    /// The serial number of the certificate.
    pub serial: String,
    /// Time at which the certificate was obtained.
    pub obtained_at: u64,
    /// The end of its validity.
    pub not_after: u64,
    /// Time from which it is renewed.
    pub renew_at: u64,
    /// The last renewal window of the CA.
    #[serde(default)]
    pub window: Option<Window>,
    /// The URL of the account that ordered it.
    #[serde(default)]
    pub account: Option<String>,
    /// Number of certificates in a row before it that were replaced early.
    #[serde(default)]
    pub hurried: usize,
}

/// The window in which the CA wants a certificate to be renewed (RFC 9773 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its start.
    pub start: u64,
    /// Its end.
    pub end: u64,
}

/// The change that the CA's renewal window makes to a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowChange {
    /// The window is known already.
    None,
    /// The window is the first for this certificate.
    First,
    /// The window differs from the last one.
    Moved,
    /// The window ends after the certificate expires, and is ignored.
    TooLate,
}

impl RenewalPlan {
    /// The plan for a certificate whose CA has not been asked yet: renewal by lifetime.
    #[must_use]
    pub fn new(subject: &HostPattern, certificate: &Certificate, now: SystemTime) -> Self {
        Self {
            subject: subject.to_string(),
            serial: certificate.serial().to_owned(),
            obtained_at: unix(now),
            not_after: unix(certificate.not_after()),
            renew_at: unix(by_lifetime(certificate)),
            window: None,
            account: None,
            hurried: 0,
        }
    }

    /// Returns the plan `next` of the certificate that replaces this one at `now`, with its count of early replacements.
    pub(crate) fn successor(&self, mut next: Self, now: SystemTime) -> Self {
        let age = unix(now).saturating_sub(self.obtained_at);
        let lifetime = self.not_after.saturating_sub(self.obtained_at);
        let was_early = age < lifetime / u64::from(EARLY_PART);
        next.hurried = if was_early { self.hurried + 1 } else { 0 };
        next
    }

    /// `true` if the plan is for `certificate` and not for a previous one.
    #[must_use]
    pub fn is_for(&self, certificate: &Certificate) -> bool {
        self.serial == certificate.serial()
    }

    /// Returns the time from which the certificate is renewed.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        from_unix(self.renew_at)
    }

    /// Applies the CA's renewal window. If it differs from the last one, draws a new random time in it.
    pub(crate) fn apply(&mut self, info: &RenewalInfo) -> WindowChange {
        let (start, end) = (unix(info.start), unix(info.end));
        let window = Window { start, end };
        if self.window == Some(window) {
            return WindowChange::None;
        }
        if end > self.not_after {
            return WindowChange::TooLate;
        }
        let point = start + ((end - start) as f64 * fastrand::f64()) as u64;
        self.renew_at = self.bounded(point);
        match self.window.replace(window) {
            None => WindowChange::First,
            Some(_) => WindowChange::Moved,
        }
    }

    fn bounded(&self, point: u64) -> u64 {
        let lifetime = self.not_after.saturating_sub(self.obtained_at);
        let latest = self.not_after - lifetime / u64::from(MIN_LEFT_PART);
        let min_age = MIN_AGE[self.hurried.min(MIN_AGE.len() - 1)].as_secs();
        let earliest = match min_age {
            0 => 0,
            min_age => self.obtained_at + min_age.min(lifetime / 2),
        };
        point.min(latest).max(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::certificate::TestCa;

    const DAY: u64 = 24 * 3600;

    fn plan(seconds: i64) -> RenewalPlan {
        let pem = TestCa::new().sign(&["a.example"], 0..seconds);
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
        let subject = HostPattern::parse("a.example").unwrap();
        let now = certificate.not_before();
        RenewalPlan::new(&subject, &certificate, now)
    }

    /// A renewal window in seconds after the certificate was obtained.
    fn info(plan: &RenewalPlan, start: i64, end: i64) -> RenewalInfo {
        let at = |seconds| from_unix(plan.obtained_at.saturating_add_signed(seconds));
        RenewalInfo {
            start: at(start),
            end: at(end),
            explanation: None,
            ask_again_after: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_point_is_drawn_once_for_each_window() {
        for seconds in [3600, 160 * 3600, 45 * DAY as i64] {
            let mut plan = plan(seconds);
            let first = info(&plan, seconds / 2, seconds * 2 / 3);
            assert_eq!(plan.apply(&first), WindowChange::First);
            let point = plan.renew_at();
            assert!(first.start <= point && point <= first.end);
            for _ in 0..20 {
                assert_eq!(plan.apply(&first), WindowChange::None);
            }
            assert_eq!(plan.renew_at(), point);
            let moved = info(&plan, seconds / 4, seconds / 3);
            assert_eq!(plan.apply(&moved), WindowChange::Moved);
            assert!(plan.renew_at() <= moved.end);
        }
    }

    #[test]
    fn a_window_in_the_past_means_now() {
        let mut plan = plan(90 * DAY as i64);
        let past = info(&plan, -2000, -1000);
        assert_eq!(plan.apply(&past), WindowChange::First);
        assert!(plan.renew_at < plan.obtained_at);
    }

    #[test]
    fn a_window_after_the_end_is_ignored_and_one_near_it_leaves_time() {
        let mut plan = plan(100 * DAY as i64);
        let before = plan.clone();
        let days =
            |plan: &RenewalPlan, start, end| info(plan, start * DAY as i64, end * DAY as i64);
        let late = days(&plan, 99, 101);
        assert_eq!(plan.apply(&late), WindowChange::TooLate);
        assert_eq!(plan, before);
        let near = days(&plan, 99, 100);
        assert_eq!(plan.apply(&near), WindowChange::First);
        assert_eq!(plan.renew_at, plan.obtained_at + 95 * DAY);
    }

    #[test]
    fn a_ca_that_wants_each_successor_replaced_at_once_is_slowed_down() {
        let fresh = plan(90 * DAY as i64);
        let mut waits = Vec::new();
        let mut current = fresh.clone();
        for _ in 0..5 {
            let past = info(&current, -2000, -1000);
            current.apply(&past);
            waits.push(current.renew_at.saturating_sub(current.obtained_at) / 3600);
            let now = from_unix(current.obtained_at.max(current.renew_at));
            let mut next = fresh.clone();
            next.obtained_at = unix(now);
            current = current.successor(next, now);
        }
        assert_eq!(waits, [0, 1, 12, 42, 42]);
    }

    #[test]
    fn a_certificate_that_is_not_replaced_early_resets_the_count() {
        let mut old = plan(90 * DAY as i64);
        old.hurried = 3;
        let next = old.successor(old.clone(), from_unix(old.obtained_at + 60 * DAY));
        assert_eq!(next.hurried, 0);
    }
}
