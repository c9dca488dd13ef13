//! Reasons why a handshake gets no certificate.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::certs::budget::{self, HoldReason};
use crate::certs::on_demand::AskError;
use crate::certs::public_suffix::Unsignable;
use crate::certs::store::Attempts;
use crate::{backoff, storage};

/// Delay of the next attempt for a name that needs the operator to act first.
const NEEDS_OPERATOR: Duration = Duration::from_secs(3600);

/// A reason why there is no certificate for a name, in one sentence.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CertificateRefusal {
    /// No site covers the name.
    #[error("no site is configured for it")]
    Unknown,
    /// The ask endpoint does not allow the name.
    #[error("{0}")]
    NotAllowed(Arc<AskError>),
    /// The CA is a public one, and no public CA can sign the name.
    #[error("{0}")]
    NoPublicCa(Unsignable),
    /// A budget is spent, or the CA takes no orders for now.
    #[error("{0}")]
    Held(Box<HoldReason>),
    /// The last attempt failed, and the next one is not due.
    #[error(
        "{}: {reason}; next attempt at {}",
        failed_attempts(*.failures), humantime::format_rfc3339_seconds(*.until)
    )]
    BackingOff {
        /// Time of the next attempt.
        until: SystemTime,
        /// Number of failures in a row.
        failures: u32,
        /// The last failure in one sentence.
        reason: String,
    },
    /// Storage cannot be read or written.
    #[error("{0}")]
    Storage(Arc<storage::Error>),
    /// The limit of handshakes that wait for this name is reached.
    #[error("too many handshakes are already waiting for its certificate")]
    TooManyWaiting,
    /// The limit of on-demand names that are looked up or ordered at once is reached.
    #[error("too many names are already waiting for their certificates")]
    TooManyNames,
    /// The certificate is still being obtained, and the handshake's wait is over.
    #[error("its certificate is still being obtained")]
    StillOrdering,
    /// The process is stopping.
    #[error("the proxy is stopping")]
    Stopping,
}

impl CertificateRefusal {
    /// `true` if the name may have a certificate, and only a newer one cannot be had now.
    #[must_use]
    pub(crate) fn leaves_expired(&self) -> bool {
        match self {
            Self::BackingOff { .. } | Self::Held(_) | Self::StillOrdering => true,
            Self::NotAllowed(error) => error.is_down(),
            _ => false,
        }
    }

    /// Returns the time until the next attempt; `None` when the process stops.
    #[must_use]
    pub(crate) fn retry_in(&self, now: SystemTime) -> Option<Duration> {
        let left = |until: &SystemTime| until.duration_since(now).unwrap_or_default();
        Some(match self {
            Self::BackingOff { until, .. } => left(until),
            Self::Held(held) => left(&held.until()) + budget::spread(held),
            Self::Stopping => return None,
            Self::NotAllowed(error) if !error.is_down() => NEEDS_OPERATOR,
            Self::NoPublicCa(_) => NEEDS_OPERATOR,
            _ => backoff::ISSUANCE.delay(1, None),
        })
    }
}

fn failed_attempts(failures: u32) -> String {
    match failures {
        0 | 1 => "the only attempt so far failed".to_owned(),
        failures => format!("{failures} attempts failed, the last with"),
    }
}

impl From<HoldReason> for CertificateRefusal {
    fn from(held: HoldReason) -> Self {
        Self::Held(Box::new(held))
    }
}

impl From<Attempts> for CertificateRefusal {
    fn from(attempts: Attempts) -> Self {
        Self::BackingOff {
            until: attempts.not_before(),
            failures: attempts.counted_failures(),
            reason: attempts.last_error,
        }
    }
}

impl From<storage::Error> for CertificateRefusal {
    fn from(error: storage::Error) -> Self {
        Self::Storage(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_certificate_is_better_than_none_unless_the_name_may_have_none() {
        let url = || "http://127.0.0.1:1/".parse().unwrap();
        let asked = |error| CertificateRefusal::NotAllowed(Arc::new(error));
        let failing = AskError::Failing {
            url: url(),
            status: 500,
        };
        let refused = AskError::Refused {
            url: url(),
            status: 404,
        };
        assert!(asked(failing).leaves_expired());
        assert!(CertificateRefusal::StillOrdering.leaves_expired());
        assert!(!asked(refused).leaves_expired());
        assert!(!CertificateRefusal::Unknown.leaves_expired());
    }

    #[test]
    fn one_failed_attempt_reads_unlike_several() {
        let sentence = |failures| {
            let (until, reason) = (SystemTime::UNIX_EPOCH, "no luck".to_owned());
            let refusal = CertificateRefusal::BackingOff {
                until,
                failures,
                reason,
            };
            refusal.to_string()
        };
        let rest = "no luck; next attempt at 1970-01-01T00:00:00Z";
        assert_eq!(
            sentence(1),
            format!("the only attempt so far failed: {rest}")
        );
        let several = format!("2 attempts failed, the last with: {rest}");
        assert_eq!(sentence(2), several);
    }
}
