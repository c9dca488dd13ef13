//! What stands between a name and its certificate, in one sentence.

use std::fmt;
use std::time::SystemTime;

/// The state of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its certificate is served.
    Served {
        /// The end of the certificate's validity.
        not_after: SystemTime,
        /// When it is renewed.
        renew_at: SystemTime,
        /// Why the last try to renew it failed, when one has.
        last_error: Option<String>,
    },
    /// It has been asked for and is under way.
    Ordering,
    /// Nothing has been tried yet.
    Waiting,
    /// The last try failed.
    BackingOff {
        /// When the next try is due.
        until: SystemTime,
        /// Failures in a row.
        failures: u32,
        /// The last failure.
        reason: String,
    },
    /// It will not get one.
    Refused {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = humantime::format_rfc3339_seconds;
        match self {
            Self::Served {
                not_after,
                renew_at,
                last_error,
            } => {
                let (end, renewal) = (at(*not_after), at(*renew_at));
                write!(f, "served until {end}, to be renewed from {renewal}")?;
                match last_error {
                    Some(error) => write!(f, "; the last try to renew it failed: {error}"),
                    None => Ok(()),
                }
            }
            Self::Ordering => f.write_str("a certificate is being obtained"),
            Self::Waiting => f.write_str("no certificate has been asked for yet"),
            Self::BackingOff {
                until,
                failures,
                reason,
            } => {
                let next = at(*until);
                write!(
                    f,
                    "no certificate after {failures} failed tries; next try {next}: {reason}"
                )
            }
            Self::Refused { reason } => f.write_str(reason),
        }
    }
}
