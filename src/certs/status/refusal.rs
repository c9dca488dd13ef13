//! Why a handshake gets no certificate.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::certs::budget::{self, Held};
use crate::certs::on_demand::AskError;
use crate::certs::public_suffix::Unsignable;
use crate::certs::records::Attempts;
use crate::{backoff, storage};

/// When a name is seen to again that the operator has to see to first.
const LATER: Duration = Duration::from_secs(3600);

/// The reason why there is no certificate for a name, in one sentence.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody configured the name.
    #[error("no site is configured for it")]
    Unknown,
    /// The operator's endpoint does not allow the name.
    #[error("{0}")]
    NotAllowed(Arc<AskError>),
    /// The CA is a public one, and none of them can sign the name.
    #[error("{0}")]
    NoPublicCa(Unsignable),
    /// A budget is spent, or the CA wants to be left alone.
    #[error("{0}")]
    Held(Box<Held>),
    /// The last try failed and the next one is not due.
    #[error(
        "{} said: {reason}; the next try is at {}",
        last_try(*.failures), humantime::format_rfc3339_seconds(*.until)
    )]
    BackingOff {
        /// When the next try is due.
        until: SystemTime,
        /// Failures in a row.
        failures: u32,
        /// The last failure.
        reason: String,
    },
    /// The stored certificate could not be read, or nothing can be written.
    #[error("{0}")]
    Storage(Arc<storage::Error>),
    /// More handshakes wait for this name than may.
    #[error("too many handshakes wait for its certificate already")]
    TooManyWaiting,
    /// More names are being looked up or ordered than may.
    #[error("too many names wait for their certificates already")]
    TooManyNames,
    /// It is still being obtained and this handshake waited long enough.
    #[error("its certificate is still being obtained")]
    StillOrdering,
    /// The process stops.
    #[error("the proxy is stopping")]
    Stopping,
}

impl Refusal {
    /// How long until the name is seen to again; `None` when the process stops.
    #[must_use]
    pub(crate) fn retry_in(&self, now: SystemTime) -> Option<Duration> {
        let left = |until: &SystemTime| until.duration_since(now).unwrap_or_default();
        Some(match self {
            Self::BackingOff { until, .. } => left(until),
            Self::Held(held) => left(&held.until()) + budget::spread(held),
            Self::Stopping => return None,
            Self::NotAllowed(error) if !error.is_down() => LATER,
            Self::NoPublicCa(_) => LATER,
            _ => backoff::ISSUANCE.delay(1, None),
        })
    }
}

fn last_try(failures: u32) -> String {
    match failures {
        0 | 1 => "the only try so far".to_owned(),
        failures => format!("the last of {failures} failed tries"),
    }
}

impl From<Held> for Refusal {
    fn from(held: Held) -> Self {
        Self::Held(Box::new(held))
    }
}

impl From<Attempts> for Refusal {
    fn from(attempts: Attempts) -> Self {
        Self::BackingOff {
            until: attempts.not_before(),
            failures: attempts.in_vain(),
            reason: attempts.last_error,
        }
    }
}

impl From<storage::Error> for Refusal {
    fn from(error: storage::Error) -> Self {
        Self::Storage(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_try_is_not_the_last_of_several() {
        let sentence = |failures| {
            let (until, reason) = (SystemTime::UNIX_EPOCH, "no luck".to_owned());
            let refusal = Refusal::BackingOff {
                until,
                failures,
                reason,
            };
            refusal.to_string()
        };
        let rest = "said: no luck; the next try is at 1970-01-01T00:00:00Z";
        assert_eq!(sentence(1), format!("the only try so far {rest}"));
        assert_eq!(sentence(2), format!("the last of 2 failed tries {rest}"));
    }
}
