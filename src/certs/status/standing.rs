//! What stands between a name and its certificate, in one sentence.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::certs::records::TriedIssuer;

/// The state of a name. Its `Display` is one sentence that ends with what to do, where something
/// is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Standing {
    /// Its certificate is served.
    Served {
        /// Who signed it.
        issuer: String,
        /// The end of the certificate's validity.
        #[serde(serialize_with = "rfc3339")]
        not_after: SystemTime,
        /// When it is renewed.
        #[serde(serialize_with = "rfc3339")]
        renew_at: SystemTime,
        /// Why the last try to renew it failed, when one has.
        last_error: Option<String>,
        /// When the next try is due after one that failed.
        #[serde(serialize_with = "maybe_rfc3339")]
        next_try: Option<SystemTime>,
    },
    /// The operator brings its certificate.
    FromFiles {
        /// The chain's file, where it is known.
        cert: Option<PathBuf>,
        /// The end of its validity, where it is known.
        #[serde(serialize_with = "maybe_rfc3339")]
        not_after: Option<SystemTime>,
    },
    /// It has been asked for and is under way.
    Ordering,
    /// Nothing has been tried yet.
    Waiting {
        /// What brings the first try.
        #[serde(rename = "for")]
        occasion: Occasion,
    },
    /// The last try failed.
    BackingOff {
        /// When the next try is due.
        #[serde(serialize_with = "rfc3339")]
        until: SystemTime,
        /// Failures in a row.
        failures: u32,
        /// The last failure.
        reason: String,
        /// At which CAs and how it was tried.
        tried: Vec<TriedIssuer>,
    },
    /// A budget is spent, or the CA wants to be left alone.
    Held {
        /// When the next order may be placed.
        #[serde(serialize_with = "rfc3339")]
        until: SystemTime,
        /// What holds it.
        reason: String,
        /// The last failure, when there was one.
        last_error: Option<String>,
    },
    /// It will not get one.
    Refused {
        /// The kind of reason.
        because: Because,
        /// Why, and what would change it.
        reason: String,
    },
}

/// What brings the first try to get a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// The proxy's own round.
    Start,
    /// A handshake, after the ask endpoint's yes.
    Handshake,
    /// A handshake; this machine's own CA signs.
    LocalHandshake,
}

/// Why a name gets no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// No site is configured for it.
    UnknownName,
    /// The CA is a public one, and none can sign it.
    NoPublicCa,
    /// The ask endpoint said no.
    AskSaidNo,
    /// The ask endpoint gives no answer.
    AskIsDown,
    /// The records cannot be read.
    Storage,
}

impl Standing {
    /// A name that gets no certificate.
    #[must_use]
    pub fn refused(because: Because, reason: impl Display) -> Self {
        let fix = match because {
            Because::UnknownName => "; add it to [sites], or start with --domain",
            Because::AskSaidNo => "; it gets one when the endpoint answers 200 for it",
            Because::NoPublicCa | Because::AskIsDown | Because::Storage => "",
        };
        Self::Refused {
            because,
            reason: format!("{reason}{fix}"),
        }
    }
}

impl Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = humantime::format_rfc3339_seconds;
        match self {
            Self::Served {
                issuer,
                not_after,
                renew_at,
                last_error,
                next_try,
            } => {
                let (end, renewal) = (at(*not_after), at(*renew_at));
                write!(
                    f,
                    "served until {end}, signed by {issuer}, to be renewed from {renewal}"
                )?;
                if let Some(next) = next_try {
                    write!(f, "; next try {}", at(*next))?;
                }
                and(f, "the last try to renew it failed", last_error.as_ref())
            }
            Self::FromFiles { cert, not_after } => {
                f.write_str("served from the files that the site names")?;
                if let Some(cert) = cert {
                    write!(f, " ({})", cert.display())?;
                }
                match not_after {
                    Some(end) => write!(f, "; put newer ones there before {}", at(*end)),
                    None => Ok(()),
                }
            }
            Self::Ordering => f.write_str("a certificate is being obtained"),
            Self::Waiting { occasion } => write!(f, "{occasion}"),
            Self::BackingOff {
                until,
                failures,
                reason,
                tried,
            } => {
                let tries = if *failures == 1 { "try" } else { "tries" };
                write!(f, "no certificate after {failures} failed {tries}")?;
                for (index, trial) in tried.iter().enumerate() {
                    f.write_str(if index == 0 { " at " } else { ", " })?;
                    write!(f, "{trial}")?;
                }
                write!(f, "; next try {}: {reason}", at(*until))
            }
            Self::Held {
                until,
                reason,
                last_error,
            } => {
                let next = at(*until);
                write!(f, "no certificate is ordered before {next}: {reason}")?;
                and(f, "the last try said", last_error.as_ref())
            }
            Self::Refused { reason, .. } => f.write_str(reason),
        }
    }
}

fn and(f: &mut fmt::Formatter<'_>, what: &str, error: Option<&String>) -> fmt::Result {
    match error {
        Some(error) => write!(f, "; {what}: {error}"),
        None => Ok(()),
    }
}

impl Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "no certificate has been asked for yet; a running proxy does so by itself",
            Self::Handshake => {
                "no certificate has been asked for yet; the first handshake does, if the ask endpoint allows the name"
            }
            Self::LocalHandshake => {
                "the first handshake gets a certificate that this machine's own CA signs; clients trust it after `proxy trust`"
            }
        })
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}

fn maybe_rfc3339<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_standing_is_a_sentence_and_a_record() {
        let standing = Standing::BackingOff {
            until: SystemTime::UNIX_EPOCH + Duration::from_secs(60),
            failures: 2,
            reason: "open port 80".to_owned(),
            tried: vec![TriedIssuer {
                issuer: "ca".to_owned(),
                challenges: vec!["http-01".to_owned(), "tls-alpn-01".to_owned()],
            }],
        };
        assert_eq!(
            standing.to_string(),
            "no certificate after 2 failed tries at ca by http-01 and tls-alpn-01; \
             next try 1970-01-01T00:01:00Z: open port 80"
        );
        let json = serde_json::to_value(&standing).unwrap();
        assert_eq!(json["state"], "backing-off");
        assert_eq!(json["until"], "1970-01-01T00:01:00Z");
        let refused = Standing::refused(Because::AskSaidNo, "it refuses");
        let json = serde_json::to_value(&refused).unwrap();
        assert_eq!(json["because"], "ask-said-no");
    }
}
