//! When one certificate is to be renewed, as it is kept beside it: a random point in the time that
//! the CA names, else a fraction of the lifetime.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::renew_at::by_lifetime;
use crate::acme::RenewalInfo;
use crate::certs::certificate::Certificate;
use crate::certs::clock::{from_unix, unix};
use crate::name::HostPattern;

/// How much of its life a certificate has left at least when it is renewed, whatever the CA says.
const LEAST_LEFT: u32 = 20;

/// A certificate that is replaced in the first tenth of its life was replaced in a hurry.
const HURRY: u32 = 10;

/// How long a certificate is kept at least when so many before it, without a gap, were replaced in a
/// hurry. The CA may have revoked one; one that says so of each is not to be believed.
const KEPT_AT_LEAST: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(42 * 3600),
];

/// The record beside a certificate. Times are Unix times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalPlan {
    /// What the certificate is for.
    pub subject: String,
    /// Which certificate the plan is for.
    pub serial: String,
    /// When that certificate was obtained.
    pub obtained_at: u64,
    /// The end of its validity.
    pub not_after: u64,
    /// From when on it is replaced.
    pub renew_at: u64,
    /// The time that the CA named last.
    #[serde(default)]
    pub window: Option<Window>,
    /// The account that it was ordered by.
    #[serde(default)]
    pub account: Option<String>,
    /// How many certificates before it, without a gap, were replaced in a hurry.
    #[serde(default)]
    pub hurried: usize,
}

/// The time in which the CA wants a certificate to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its start.
    pub start: u64,
    /// Its end.
    pub end: u64,
}

/// What became of the time that the CA named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// It is the one that is known already.
    Unchanged,
    /// It is the first for this certificate.
    First,
    /// It differs from the one before it.
    Moved,
    /// It ends after the certificate does, and is not heeded.
    TooLate,
}

impl RenewalPlan {
    /// The plan for a certificate whose CA has not been asked yet.
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

    /// The plan for a certificate that takes this one's place at `now`.
    pub(crate) fn successor(&self, mut next: Self, now: SystemTime) -> Self {
        let age = unix(now).saturating_sub(self.obtained_at);
        let lifetime = self.not_after.saturating_sub(self.obtained_at);
        let was_hurried = age < lifetime / u64::from(HURRY);
        next.hurried = if was_hurried { self.hurried + 1 } else { 0 };
        next
    }

    /// Whether the plan is for `certificate` and not for one before it.
    #[must_use]
    pub fn is_for(&self, certificate: &Certificate) -> bool {
        self.serial == certificate.serial()
    }

    /// From when on the certificate is replaced.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        from_unix(self.renew_at)
    }

    /// Takes the CA's word: a new point is drawn when the window is another one than before.
    pub(crate) fn follow(&mut self, info: &RenewalInfo) -> Followed {
        let (start, end) = (unix(info.start), unix(info.end));
        let window = Window { start, end };
        if self.window == Some(window) {
            return Followed::Unchanged;
        }
        if end > self.not_after {
            return Followed::TooLate;
        }
        let point = start + ((end - start) as f64 * fastrand::f64()) as u64;
        self.renew_at = self.bounded(point);
        match self.window.replace(window) {
            None => Followed::First,
            Some(_) => Followed::Moved,
        }
    }

    fn bounded(&self, point: u64) -> u64 {
        let lifetime = self.not_after.saturating_sub(self.obtained_at);
        let latest = self.not_after - lifetime / u64::from(LEAST_LEFT);
        let kept = KEPT_AT_LEAST[self.hurried.min(KEPT_AT_LEAST.len() - 1)].as_secs();
        let earliest = match kept {
            0 => 0,
            kept => self.obtained_at + kept.min(lifetime / 2),
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

    /// What a CA says, in seconds after the certificate was obtained.
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
            assert_eq!(plan.follow(&first), Followed::First);
            let point = plan.renew_at();
            assert!(first.start <= point && point <= first.end);
            for _ in 0..20 {
                assert_eq!(plan.follow(&first), Followed::Unchanged);
            }
            assert_eq!(plan.renew_at(), point);
            let moved = info(&plan, seconds / 4, seconds / 3);
            assert_eq!(plan.follow(&moved), Followed::Moved);
            assert!(plan.renew_at() <= moved.end);
        }
    }

    #[test]
    fn a_window_in_the_past_means_now() {
        let mut plan = plan(90 * DAY as i64);
        let past = info(&plan, -2000, -1000);
        assert_eq!(plan.follow(&past), Followed::First);
        assert!(plan.renew_at < plan.obtained_at);
    }

    #[test]
    fn a_window_after_the_end_is_not_heeded_and_one_near_it_leaves_time() {
        let mut plan = plan(100 * DAY as i64);
        let before = plan.clone();
        let days =
            |plan: &RenewalPlan, start, end| info(plan, start * DAY as i64, end * DAY as i64);
        let late = days(&plan, 99, 101);
        assert_eq!(plan.follow(&late), Followed::TooLate);
        assert_eq!(plan, before);
        let near = days(&plan, 99, 100);
        assert_eq!(plan.follow(&near), Followed::First);
        assert_eq!(plan.renew_at, plan.obtained_at + 95 * DAY);
    }

    #[test]
    fn a_ca_that_wants_each_successor_replaced_at_once_is_slowed_down() {
        let fresh = plan(90 * DAY as i64);
        let mut waits = Vec::new();
        let mut current = fresh.clone();
        for _ in 0..5 {
            let past = info(&current, -2000, -1000);
            current.follow(&past);
            waits.push(current.renew_at.saturating_sub(current.obtained_at) / 3600);
            let now = from_unix(current.obtained_at.max(current.renew_at));
            let mut next = fresh.clone();
            next.obtained_at = unix(now);
            current = current.successor(next, now);
        }
        assert_eq!(waits, [0, 1, 12, 42, 42]);
    }

    #[test]
    fn a_certificate_that_served_its_time_ends_the_hurry() {
        let mut old = plan(90 * DAY as i64);
        old.hurried = 3;
        let next = old.successor(old.clone(), from_unix(old.obtained_at + 60 * DAY));
        assert_eq!(next.hurried, 0);
    }
}
