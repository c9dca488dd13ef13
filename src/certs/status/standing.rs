//! The standing of a name: whether its certificate is served, or why there is none, in one sentence.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::certs::store::TriedIssuer;

/// The standing of a name. Its `Display` is one sentence, which ends with what the operator can do, if anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Standing {
    /// Its certificate is served.
    Served {
        /// The operator's name for its issuer.
        issuer: String,
        /// The end of the certificate's validity.
        #[serde(serialize_with = "rfc3339")]
        not_after: SystemTime,
        /// Time from which it is renewed.
        #[serde(serialize_with = "rfc3339")]
        renew_at: SystemTime,
        /// The last failed renewal, if any.
        last_error: Option<String>,
        /// Time of the next attempt after a failed one.
        #[serde(serialize_with = "maybe_rfc3339")]
        next_try: Option<SystemTime>,
        /// Why its failed attempts cannot be read, if so.
        #[serde(skip_serializing_if = "Option::is_none")]
        unreadable: Option<String>,
    },
    /// Its site has certificate files of its own.
    FromFiles {
        /// The chain file, if known.
        cert: Option<PathBuf>,
        /// The end of its validity, if known.
        #[serde(serialize_with = "maybe_rfc3339")]
        not_after: Option<SystemTime>,
    },
    /// Its certificate is being obtained.
    Ordering,
    /// There was no attempt yet.
    Waiting {
        /// The event that starts the first attempt.
        #[serde(rename = "for")]
        trigger: Trigger,
    },
    /// The last attempt failed.
    BackingOff {
        /// Time of the next attempt.
        #[serde(serialize_with = "rfc3339")]
        until: SystemTime,
        /// Number of failures in a row.
        failures: u32,
        /// The last failure in one sentence.
        reason: String,
        /// The CAs of the last attempt, with the challenges that failed.
        tried: Vec<TriedIssuer>,
    },
    /// A budget is spent, or the CA takes no orders for now.
    Held {
        /// Time from which the next order may be placed.
        #[serde(serialize_with = "rfc3339")]
        until: SystemTime,
        /// The budget or the CA's answer that holds it back.
        reason: String,
        /// The last failure, if any.
        last_error: Option<String>,
    },
    /// The name gets no certificate.
    Refused {
        /// The kind of reason.
        because: RefusalKind,
        /// The reason, and what would change it.
        reason: String,
    },
}

/// An event that starts the first attempt to get a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The start of the proxy.
    Start,
    /// A handshake, if the ask endpoint allows the name.
    Handshake,
    /// A handshake for a name that the internal CA signs for.
    LocalHandshake,
}

/// A kind of reason why a name gets no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// No site covers it.
    UnknownName,
    /// Its CA is a public one, and no public CA can sign it.
    NoPublicCa,
    /// The ask endpoint does not allow it.
    AskSaidNo,
    /// The ask endpoint does not answer.
    AskIsDown,
    /// Its records cannot be read.
    Storage,
}

impl Standing {
    /// The standing of a name that gets no certificate.
    #[must_use]
    pub fn refused(because: RefusalKind, reason: impl Display) -> Self {
        let fix = match because {
            RefusalKind::UnknownName => "; add it to [sites], or start with --domain",
            RefusalKind::AskSaidNo => {
                "; it gets a certificate when the endpoint answers 200 for it"
            }
            RefusalKind::NoPublicCa | RefusalKind::AskIsDown | RefusalKind::Storage => "",
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
                unreadable,
            } => {
                let (end, renewal) = (at(*not_after), at(*renew_at));
                write!(
                    f,
                    "served until {end}, signed by {issuer}, due for renewal at {renewal}"
                )?;
                if let Some(next) = next_try {
                    write!(f, "; next attempt at {}", at(*next))?;
                }
                and(f, "the last renewal failed", last_error.as_ref())?;
                and(f, "failed renewals are unknown", unreadable.as_ref())
            }
            Self::FromFiles { cert, not_after } => {
                f.write_str("served from the site's own files")?;
                if let Some(cert) = cert {
                    write!(f, " ({})", cert.display())?;
                }
                match not_after {
                    Some(end) => write!(f, "; replace them before {}", at(*end)),
                    None => Ok(()),
                }
            }
            Self::Ordering => f.write_str("a certificate is being obtained"),
            Self::Waiting { trigger } => write!(f, "{trigger}"),
            Self::BackingOff {
                until,
                failures,
                reason,
                tried,
            } => {
                let plural = if *failures == 1 { "" } else { "s" };
                write!(f, "no certificate after {failures} failed attempt{plural}")?;
                for (index, trial) in tried.iter().enumerate() {
                    f.write_str(if index == 0 { " at " } else { ", " })?;
                    write!(f, "{trial}")?;
                }
                write!(f, "; next attempt at {}: {reason}", at(*until))
            }
            Self::Held {
                until,
                reason,
                last_error,
            } => {
                let next = at(*until);
                write!(f, "no certificate is ordered before {next}: {reason}")?;
                and(f, "the last attempt failed", last_error.as_ref())
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

impl Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "no certificate has been requested yet; a running proxy requests it on its own",
            Self::Handshake => {
                "no certificate has been requested yet; the first handshake requests it, if the ask endpoint allows the name"
            }
            Self::LocalHandshake => {
                "the first handshake gets a certificate from the internal CA; clients trust it after `proxy trust`"
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
            "no certificate after 2 failed attempts at ca with http-01 and tls-alpn-01; \
             next attempt at 1970-01-01T00:01:00Z: open port 80"
        );
        let json = serde_json::to_value(&standing).unwrap();
        assert_eq!(json["state"], "backing-off");
        assert_eq!(json["until"], "1970-01-01T00:01:00Z");
        let refused = Standing::refused(RefusalKind::AskSaidNo, "it refuses");
        let json = serde_json::to_value(&refused).unwrap();
        assert_eq!(json["because"], "ask-said-no");
    }
}
