//! The memory of failed attempts for one name, as it lies in storage.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::backoff;
use crate::certs::clock::{from_unix, unix};

/// How far a clock may be set back without the memory of failures being lost.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The memory of attempts for one name that came to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Failures in a row.
    pub failures: u32,
    /// Unix time before which nothing is tried again, in seconds.
    pub not_before: u64,
    /// Unix time of the last failure, in seconds.
    #[serde(default)]
    pub failed_at: u64,
    /// The last failure in one sentence.
    pub last_error: String,
    /// Attempts in a row that were begun and had no end: the process was killed meanwhile.
    #[serde(default)]
    pub unfinished: u32,
    /// Unix time before which the CA itself wants no other try, in seconds.
    #[serde(default)]
    pub ca_not_before: u64,
    /// At which CAs and how the last attempt was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TriedIssuer>,
}

/// One CA at which an attempt was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedIssuer {
    /// What the operator calls the CA.
    pub issuer: String,
    /// The types of the challenges that failed, where it came to that.
    #[serde(default)]
    pub challenges: Vec<String>,
}

impl fmt::Display for TriedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.issuer)?;
        if self.challenges.is_empty() {
            Ok(())
        } else {
            write!(f, " by {}", self.challenges.join(" and "))
        }
    }
}

impl Attempts {
    /// The memory while an attempt that begins at `now` is under way. One that never ends costs
    /// nothing, as it may have been a restart; more of them in a row wait like failures.
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
            last_error: "the process ended in the middle of the attempt".to_owned(),
            ..begun
        }
    }

    /// How many attempts in a row came to nothing, without the first that had no end.
    #[must_use]
    pub fn in_vain(&self) -> u32 {
        self.failures
            .saturating_add(self.unfinished.saturating_sub(1))
    }

    /// The memory after one more failure at `now`.
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

    /// The same when the CA asked at `now` to be left alone for so long.
    #[must_use]
    pub fn held_off(self, now: SystemTime, retry_after: Option<Duration>) -> Self {
        let ca_not_before = retry_after.map_or(0, |wait| unix(now + wait));
        Self {
            ca_not_before,
            ..self
        }
    }

    /// The memory with the CAs at which the attempt was made.
    #[must_use]
    pub fn tried_at(self, tried: Vec<TriedIssuer>) -> Self {
        Self { tried, ..self }
    }

    /// Whether the CA would take another try at `now`, whatever our own back-off says.
    #[must_use]
    pub fn is_welcome(&self, now: SystemTime) -> bool {
        self.ca_not_before <= unix(now) || self.is_due(now)
    }

    /// Whether the next attempt may be made at `now`. A failure in the future was dated by a wrong
    /// clock, and binds nobody.
    #[must_use]
    pub fn is_due(&self, now: SystemTime) -> bool {
        self.not_before() <= now || self.failed_at > unix(now + CLOCK_SKEW)
    }

    /// When the next attempt may be made.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        from_unix(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_a_wrong_clock_put_into_the_future_binds_nobody() {
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
    fn the_wait_of_the_ca_is_kept_apart_from_our_own() {
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        let failed = Attempts::default().failed("x".to_owned(), now, hour);
        assert!(failed.clone().held_off(now, None).is_welcome(now));
        let held_off = failed.held_off(now, Some(hour));
        assert!(!held_off.is_welcome(now));
        assert!(held_off.is_welcome(now + hour));
    }
}
