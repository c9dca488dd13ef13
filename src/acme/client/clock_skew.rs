//! The difference between this machine's clock and the CA's: a wrong clock makes valid certificates look expired.

use std::time::{Duration, SystemTime};

use humantime::{format_duration, format_rfc3339_seconds};
use tracing::{error, warn};
use url::Url;

/// Difference from which a warning is logged.
const SMALL: Duration = Duration::from_secs(60);

/// Difference from which the log has an error: certificates are taken for expired or not yet valid.
const LARGE: Duration = Duration::from_secs(24 * 3600);

/// A difference between two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    here: SystemTime,
    at_ca: SystemTime,
}

impl ClockSkew {
    pub(super) fn between(here: SystemTime, at_ca: SystemTime) -> Self {
        Self { here, at_ca }
    }

    /// Logs a difference that matters, with its fix.
    pub(super) fn warn(self, directory: &Url) {
        if !self.matters() {
            return;
        }
        let sentence = self.sentence();
        if self.breaks_certificates() {
            error!(%directory, reason = sentence, "this machine's clock is wrong");
        } else {
            warn!(%directory, reason = sentence, "this machine's clock is wrong");
        }
    }

    /// `true` if the difference is more than two clocks may have.
    #[must_use]
    pub fn matters(self) -> bool {
        self.size() > SMALL
    }

    /// `true` if valid certificates look expired or not yet valid.
    #[must_use]
    pub fn breaks_certificates(self) -> bool {
        self.size() >= LARGE
    }

    fn size(self) -> Duration {
        let ahead = self.here.duration_since(self.at_ca);
        ahead.unwrap_or_else(|behind| behind.duration())
    }

    /// Returns the difference in one sentence, with its fix.
    #[must_use]
    pub fn sentence(self) -> String {
        let direction = if self.here > self.at_ca {
            "ahead of"
        } else {
            "behind"
        };
        format!(
            "it says {}, which is {} {direction} the CA's clock; set it, for example by NTP",
            format_rfc3339_seconds(self.here),
            format_duration(Duration::from_secs(self.size().as_secs()))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_with_its_direction_and_its_fix() {
        let at = |hours: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600);
        let skew = |here, at_ca| ClockSkew::between(at(here), at(at_ca)).sentence();
        assert_eq!(
            skew(26, 24),
            "it says 1970-01-02T02:00:00Z, which is 2h ahead of the CA's clock; set it, for example by NTP"
        );
        assert!(skew(0, 48).contains("2days behind the CA's clock"));
        assert_eq!(ClockSkew::between(at(5), at(5)).size(), Duration::ZERO);
    }
}
