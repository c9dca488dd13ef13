//! Why an issuer gave no certificate.

use std::time::{Duration, SystemTime};

use super::NameConstraint;
use super::internal::list;
use crate::acme::Blame;
use crate::certs::CertificateError;
use crate::name::HostPattern;
use crate::{acme, storage};

/// A failed attempt to get a certificate signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA refused, failed or could not be reached.
    #[error("{}", .0.sentence())]
    Acme(#[from] acme::Error),
    /// The account or the CA's own records could not be read or written.
    #[error("{0}")]
    Storage(#[from] storage::Error),
    /// The CA's root file could not be read.
    #[error("the root file {path} cannot be read: {source}")]
    Root {
        /// The file that the configuration names.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A stored key or root cannot be used.
    #[error("the stored record {location} is damaged: {source}; remove it to have it made anew")]
    Damaged {
        /// Where it lies.
        location: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The internal CA's root is over.
    #[error(
        "the internal CA's root expired at {}; remove {folder} and {leaves}, start again, and run `proxy trust`",
        humantime::format_rfc3339_seconds(*at)
    )]
    RootExpired {
        /// When it ended.
        at: SystemTime,
        /// Where the CA lies.
        folder: String,
        /// Where what it signed lies.
        leaves: String,
    },
    /// The internal CA's root was made for other names.
    #[error(
        "the internal CA's root may not sign for {subject}, only for {}; add it to `name-constraints`, remove {folder} and {leaves}, start again, and run `proxy trust`",
        list(permitted)
    )]
    NotPermitted {
        /// What was asked for.
        subject: HostPattern,
        /// What the root is for.
        permitted: Vec<NameConstraint>,
        /// Where the CA lies.
        folder: String,
        /// Where what it signed lies.
        leaves: String,
    },
    /// A key or a request could not be made.
    #[error("the certificate request could not be made: {0}")]
    Request(#[from] rcgen::Error),
    /// The process ended, or the system failed, while a key was made.
    #[error("the certificate's key could not be made: the task was interrupted")]
    Interrupted,
    /// The CA does not have the profile that the configuration names.
    #[error("the CA offers no profile `{wanted}`{}", other_profiles(.offered))]
    Profile {
        /// What the configuration names.
        wanted: String,
        /// What the CA offers.
        offered: Vec<String>,
    },
    /// The CA wants to be left alone about the name.
    #[error("the CA allows the next try in {}", humantime::format_duration(Duration::from_secs(.wait.as_secs().max(1))))]
    Resting {
        /// For how long.
        wait: Duration,
    },
    /// All issuers of the name have failed.
    #[error("{}", each(.0))]
    All(Vec<(String, Self)>),
    /// The issuer has no account and takes nothing back.
    #[error(
        "`{issuer}` is no CA over ACME: it has no account and its certificates cannot be revoked"
    )]
    NoAccount {
        /// Its name.
        issuer: String,
    },
    /// What the CA sent cannot be served.
    #[error("the certificate that the CA sent cannot be used: {0}")]
    Certificate(#[from] CertificateError),
    /// No certificate can be for every name.
    #[error("a certificate cannot be for `*`; name the hosts")]
    NoSubject,
    /// The chain is no text.
    #[error("the certificate that the CA sent cannot be used: it is not text")]
    NotText,
}

impl Error {
    /// Whether the CA has signed a certificate for nothing, which counts against its limits.
    #[must_use]
    pub fn has_spent_certificate(&self) -> bool {
        match self {
            Self::Certificate(_) | Self::NotText => true,
            Self::All(failures) => failures
                .iter()
                .any(|(_, error)| error.has_spent_certificate()),
            _ => false,
        }
    }

    /// Whether the CA will say the same until an operator has acted.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Acme(error) => error.is_permanent(),
            Self::Profile { .. } | Self::NoAccount { .. } => true,
            Self::All(failures) => failures.iter().all(|(_, error)| error.is_permanent()),
            _ => false,
        }
    }

    /// How long the CA asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Acme(error) => error.retry_after(),
            Self::Resting { wait } => Some(*wait),
            // As soon as any of them may be asked again.
            Self::All(failures) => {
                let waits = failures.iter().map(|(_, error)| error.retry_after());
                waits.min().flatten()
            }
            _ => None,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Acme(error) => error.blame(),
            Self::Profile { .. } | Self::NoAccount { .. } | Self::Resting { .. } => Blame::Ca,
            Self::Certificate(_) | Self::NotText | Self::Damaged { .. } => Blame::Ca,
            Self::All(failures) => failures
                .last()
                .map_or(Blame::Ca, |(_, error)| error.blame()),
            Self::Root { .. } | Self::Storage(_) | Self::Request(_) => Blame::Machine,
            Self::NoSubject | Self::Interrupted => Blame::Machine,
            Self::RootExpired { .. } | Self::NotPermitted { .. } => Blame::Machine,
        }
    }

    /// The failures of several issuers as one.
    pub(crate) fn of_all(mut failures: Vec<(String, Self)>) -> Self {
        match failures.len() {
            1 => failures.remove(0).1,
            _ => Self::All(failures),
        }
    }
}

fn other_profiles(offered: &[String]) -> String {
    match offered {
        [] => "; remove `profile` of the issuer, the CA has none at all".to_owned(),
        offered => format!("; set `profile` of the issuer to {}", offered.join(", ")),
    }
}

fn each(failures: &[(String, Error)]) -> String {
    let sentences: Vec<_> = failures
        .iter()
        .map(|(issuer, error)| format!("{issuer}: {error}"))
        .collect();
    sentences.join("; ")
}
