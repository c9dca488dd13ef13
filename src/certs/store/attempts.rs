//! The record of failed attempts for one name.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::backoff;
use crate::certs::clock::{from_unix, unix};

/// Limits how far the clock may be set back without failures being ignored.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The failed attempts for one name since the last success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Number of failures in a row.
    pub failures: u32,
    /// Unix time in seconds before which there is no further attempt.
    pub not_before: u64,
    /// Unix time of the last failure in seconds.
    #[serde(default)]
    pub failed_at: u64,
    /// The last failure in one sentence.
    pub last_error: String,
    /// Number of attempts in a row that were begun and not finished, because the process was killed.
    #[serde(default)]
    pub unfinished: u32,
    /// Unix time in seconds before which the CA itself wants no further attempt.
    #[serde(default)]
    pub ca_not_before: u64,
    /// The CAs of the last attempt, with the challenges that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TriedIssuer>,
}

/// One CA at which an attempt was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedIssuer {
    /// The operator's name for the CA.
    pub issuer: String,
    /// The types of the challenges that failed.
    #[serde(default)]
    pub challenges: Vec<String>,
}

impl fmt::Display for TriedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.issuer)?;
        if self.challenges.is_empty() {
            Ok(())
        } else {
            write!(f, " with {}", self.challenges.join(" and "))
        }
    }
}

impl Attempts {
    /// The record while an attempt that begins at `now` is under way. One unfinished attempt causes no delay, as it may have
    /// been a restart. Further ones in a row cause the delays of failures.
    #[must_use]
    pub fn begun(self, now: SystemTime) -> Self {
        let begun = Self {
            unfinished: self.unfinished.saturating_add(1),
            ..self
        };
        if begun.unfinished < 2 {
            return begun;
        }
        let delay = backoff::ISSUANCE.delay(begun.unfinished - 1, None);
        Self {
            not_before: unix(now + delay),
            failed_at: unix(now),
            last_error: "the process ended during the attempt".to_owned(),
            ..begun
        }
    }

    /// Returns the number of failures in a row, plus the unfinished attempts except the first one.
    #[must_use]
    pub fn counted_failures(&self) -> u32 {
        self.failures
            .saturating_add(self.unfinished.saturating_sub(1))
    }

    /// The record after one more failure at `now`, with the delay of the next attempt.
    #[must_use]
    pub fn failed(self, last_error: String, now: SystemTime, delay: Duration) -> Self {
        Self {
            failures: self.failures.saturating_add(1),
            not_before: unix(now + delay),
            failed_at: unix(now),
            last_error,
            unfinished: 0,
            ca_not_before: 0,
            tried: Vec::new(),
        }
    }

    /// Adds the time that the CA asked at `now` to wait.
    #[must_use]
    pub fn with_ca_wait(self, now: SystemTime, retry_after: Option<Duration>) -> Self {
        let ca_not_before = retry_after.map_or(0, |wait| unix(now + wait));
        Self {
            ca_not_before,
            ..self
        }
    }

    /// Adds the CAs at which the attempt was made.
    #[must_use]
    pub fn with_tried(self, tried: Vec<TriedIssuer>) -> Self {
        Self { tried, ..self }
    }

    /// `true` if the CA allows another attempt at `now`, whatever our own back-off says.
    #[must_use]
    pub fn ca_allows(&self, now: SystemTime) -> bool {
        self.ca_not_before <= unix(now) || self.is_due(now)
    }

    /// `true` if the next attempt may be made at `now`. A failure in the future was dated by a wrong clock and is ignored.
    #[must_use]
    pub fn is_due(&self, now: SystemTime) -> bool {
        self.not_before() <= now || self.failed_at > unix(now + CLOCK_SKEW)
    }

    /// Returns the time of the next attempt.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        from_unix(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_dated_in_the_future_by_a_wrong_clock_is_ignored() {
        let now = SystemTime::now();
        let (minute, year) = (
            Duration::from_secs(60),
            Duration::from_secs(365 * 24 * 3600),
        );
        let failed = |at| Attempts::default().failed("x".to_owned(), at, minute);
        assert!(!failed(now).is_due(now));
        assert!(failed(now).is_due(now + minute));
        assert!(failed(now + year).is_due(now));
    }

    #[test]
    fn the_wait_that_the_ca_asked_for_is_separate_from_our_own() {
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        let failed = Attempts::default().failed("x".to_owned(), now, hour);
        assert!(failed.clone().with_ca_wait(now, None).ca_allows(now));
        let waiting = failed.with_ca_wait(now, Some(hour));
        assert!(!waiting.ca_allows(now));
        assert!(waiting.ca_allows(now + hour));
    }
}
