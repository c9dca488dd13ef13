//! The state of a name in one word and one sentence, from a running proxy or from storage.

use std::time::SystemTime;

use super::response::time;
use crate::certs::{Attempts, RefusalKind, Standing, Stored, StoredCertificate, renew_at};
use crate::name::HostPattern;

const UNKNOWN: &str = "unknown";

/// The state of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameState {
    pub(super) word: &'static str,
    pub(super) sentence: String,
}

impl NameState {
    /// Returns the state in a running proxy. A stored certificate that no client has needed since the start is not loaded yet,
    /// and shows as stored.
    pub(super) fn live(standing: &Standing, stored: Option<Self>) -> Self {
        let sentence = standing.to_string();
        let word = match standing {
            Standing::Served { not_after, .. } if *not_after <= SystemTime::now() => {
                return Self {
                    word: "expired",
                    sentence: format!("expired, and nothing newer can be had: {sentence}"),
                };
            }
            Standing::Served { .. } => "served",
            Standing::Ordering => "ordering",
            Standing::FromFiles { .. } => "from-files",
            Standing::Held { .. } => "held",
            Standing::Waiting { .. } => {
                let word = "waiting";
                return stored.unwrap_or(Self { word, sentence });
            }
            Standing::BackingOff { .. } => "backing-off",
            Standing::Refused {
                because: RefusalKind::UnknownName,
                reason,
            } => return Self::unconfigured(reason, stored),
            Standing::Refused { .. } => "refused",
        };
        Self { word, sentence }
    }

    /// Returns the state while no proxy runs, in which no certificate is served.
    pub(super) fn offline(standing: &Standing, stored: Option<Self>) -> Self {
        match (standing, stored) {
            (Standing::Served { .. }, Some(stored)) => stored,
            (standing, stored) => Self::live(standing, stored),
        }
    }

    fn unconfigured(reason: &str, stored: Option<Self>) -> Self {
        let Some(stored) = stored else {
            return Self {
                word: UNKNOWN,
                sentence: reason.to_owned(),
            };
        };
        Self {
            word: "unconfigured",
            sentence: format!("{reason}; {}", stored.sentence),
        }
    }

    /// `true` if neither the configuration nor storage has the name.
    pub(super) fn is_unknown(&self) -> bool {
        self.word == UNKNOWN
    }

    /// Returns the state of the stored certificate and of failed attempts, or `None` if there is neither.
    pub(super) fn stored(
        subject: &HostPattern,
        kept: Option<&StoredCertificate>,
        attempts: Option<&Attempts>,
    ) -> Option<Self> {
        let Some(kept) = kept else {
            let attempts = attempts?;
            let failed = Standing::BackingOff {
                until: attempts.not_before(),
                failures: attempts.counted_failures(),
                reason: attempts.last_error.clone(),
                tried: attempts.tried.clone(),
            };
            return Some(Self::live(&failed, None));
        };
        let mut state = Self::of_kept(subject, kept)?;
        if let Some(attempts) = attempts {
            let failure = format!("; the last renewal failed: {}", attempts.last_error);
            state.sentence.push_str(&failure);
        }
        Some(state)
    }

    /// Adds that the record of failed attempts cannot be read.
    pub(super) fn with_unreadable_attempts(state: Option<Self>, reason: &str) -> Self {
        match state {
            Some(mut state) => {
                let failure = format!("; failed renewals are unknown: {reason}");
                state.sentence.push_str(&failure);
                state
            }
            None => Self {
                word: "damaged",
                sentence: reason.to_owned(),
            },
        }
    }

    /// The state of a name that is neither configured nor stored.
    pub(super) fn unknown() -> Self {
        Self {
            word: UNKNOWN,
            sentence: "nothing is stored for it".to_owned(),
        }
    }

    fn of_kept(subject: &HostPattern, kept: &StoredCertificate) -> Option<Self> {
        let file = &kept.location;
        let certificate = match &kept.stored {
            Stored::Found(certificate) => certificate,
            Stored::Damaged(error) => {
                return Some(Self {
                    word: "damaged",
                    sentence: format!("the stored certificate {file} cannot be used: {error}"),
                });
            }
            Stored::Missing => return None,
        };
        Some(match certificate.verify_for(subject, SystemTime::now()) {
            Ok(()) => Self {
                word: "stored",
                sentence: format!(
                    "stored and valid until {}, due for renewal at {}",
                    time(certificate.not_after()),
                    time(renew_at(certificate)),
                ),
            },
            Err(error) => Self {
                word: "unusable",
                sentence: format!("the stored certificate cannot be used: {error}"),
            },
        })
    }
}
