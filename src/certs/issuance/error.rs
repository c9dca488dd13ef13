//! Reasons why no issuer has signed a certificate. The failure of a single issuer is `issuer::Error`.

use std::time::{Duration, SystemTime};

use crate::acme::Blame;
use crate::certs::budget::HoldReason;
use crate::certs::issuer::{self, Issuer};
use crate::certs::preflight::Reason;
use crate::certs::public_suffix::Unsignable;
use crate::certs::store::TriedIssuer;

/// A failed attempt to get a certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The issuer failed.
    #[error("{0}")]
    Issuer(issuer::Error),
    /// A budget is spent, or the CA takes no orders of the account or domain for now.
    #[error("{0}")]
    Held(Box<HoldReason>),
    /// The CA takes no orders for the name for now.
    #[error("the CA allows the next attempt in {}", humantime::format_duration(Duration::from_secs(.wait.as_secs().max(1))))]
    RetryAfter {
        /// Time until the CA may be asked again.
        wait: Duration,
    },
    /// The CA is a public one, and no public CA can sign the name.
    #[error("{0}")]
    NoPublicCa(Unsignable),
    /// Preflight found that the CA would refuse the name.
    #[error("{0}; the CA was not asked")]
    Preflight(#[from] Reason),
    /// All issuers have failed, each under the operator's name for it.
    #[error("{}", each_issuer(.0))]
    All(Vec<(String, Self)>),
}

impl Error {
    /// The failure of one issuer.
    pub(super) fn of(issuer: &dyn Issuer, error: issuer::Error) -> Self {
        match error {
            issuer::Error::Held(held) => Self::Held(Box::new(held.named(issuer.name()))),
            other => Self::Issuer(other),
        }
    }

    /// `true` if a CA has signed an unusable certificate, which counts against its limits.
    pub(super) fn has_spent_certificate(&self) -> bool {
        match self {
            Self::Issuer(error) => error.has_spent_certificate(),
            Self::All(failures) => failures
                .iter()
                .any(|(_, error)| error.has_spent_certificate()),
            _ => false,
        }
    }

    /// `true` if every issuer will refuse again until an operator acts.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Issuer(error) => error.is_permanent(),
            Self::NoPublicCa(_) => true,
            Self::All(failures) => failures.iter().all(|(_, error)| error.is_permanent()),
            _ => false,
        }
    }

    /// Returns the sentence without the issuers and orders that failed before the last one. The log has a line for each of them.
    pub(super) fn last_cause(&self) -> String {
        match self {
            Self::Issuer(error) => error.last_cause(),
            Self::All(failures) => failures.last().map_or_else(String::new, |(issuer, error)| {
                format!("{issuer}: {}", error.last_cause())
            }),
            error => error.to_string(),
        }
    }

    /// Returns the types of the challenges that failed.
    fn challenges(&self) -> Vec<String> {
        match self {
            Self::Issuer(error) => error.challenges(),
            _ => Vec::new(),
        }
    }

    /// Returns the time that the CA asked to wait, counted from `now`.
    pub(super) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        match self {
            Self::Issuer(error) => error.retry_after(now),
            Self::Held(held) => held.until().duration_since(now).ok(),
            Self::RetryAfter { wait } => Some(*wait),
            // Until the first of them may be asked again.
            Self::All(failures) => {
                let waits = failures.iter().map(|(_, error)| error.retry_after(now));
                waits.min().flatten()
            }
            Self::NoPublicCa(_) | Self::Preflight(_) => None,
        }
    }

    /// Returns who or what caused the failure.
    pub(super) fn blame(&self) -> Blame {
        match self {
            Self::Issuer(error) => error.blame(),
            Self::Held(_) | Self::RetryAfter { .. } => Blame::Ca,
            // Another issuer may still sign: it may be private, or allowed by CAA.
            Self::NoPublicCa(_) => Blame::CaForName,
            Self::Preflight(reason) if reason.is_about_issuer() => Blame::CaForName,
            Self::Preflight(_) => Blame::Name,
            Self::All(failures) => failures
                .last()
                .map_or(Blame::Ca, |(_, error)| error.blame()),
        }
    }

    /// `true` if the issuer was not asked, for a reason that need not concern other issuers.
    pub(super) fn was_skipped(&self) -> bool {
        matches!(
            self,
            Self::Held(_) | Self::NoPublicCa(_) | Self::RetryAfter { .. }
        )
    }

    /// Combines the failures of several issuers.
    fn of_all(mut failures: Vec<(String, Self)>) -> Self {
        match failures.len() {
            1 => failures.remove(0).1,
            _ => Self::All(failures),
        }
    }
}

fn each_issuer(failures: &[(String, Error)]) -> String {
    let sentences: Vec<_> = failures
        .iter()
        .map(|(issuer, error)| format!("{issuer}: {error}"))
        .collect();
    sentences.join("; ")
}

/// The outcome of an attempt in which no issuer has signed.
#[derive(Debug)]
pub(super) struct FailedAttempt {
    pub(crate) error: Error,
    /// The issuers that were asked.
    pub(crate) tried: Vec<TriedIssuer>,
    /// A doubt that preflight raised before the order.
    pub(crate) doubt: Option<Reason>,
}

impl FailedAttempt {
    /// Combines the failures of all issuers, each with the operator's name for the issuer.
    pub(super) fn of(failures: Vec<(String, Error)>, doubt: Option<Reason>) -> Self {
        let tried = failures
            .iter()
            .filter(|(_, error)| !error.was_skipped() && !matches!(error, Error::Preflight(_)));
        let tried = tried.map(|(issuer, error)| TriedIssuer {
            issuer: issuer.clone(),
            challenges: error.challenges(),
        });
        Self {
            tried: tried.collect(),
            error: Error::of_all(failures),
            doubt,
        }
    }

    /// Returns the budget or CA that holds the name back, if no issuer was asked: the one that ends first.
    pub(crate) fn held(&self) -> Option<HoldReason> {
        let held = |error: &Error| match error {
            Error::Held(held) => Some(HoldReason::clone(held)),
            _ => None,
        };
        match &self.error {
            Error::All(failures) if failures.iter().all(|(_, error)| error.was_skipped()) => {
                let held = failures.iter().filter_map(|(_, error)| held(error));
                held.min_by_key(HoldReason::until)
            }
            error => held(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::certs::budget::Limits;
    use crate::certs::challenge::Solvers;
    use crate::certs::issuer::{AcmeIssuer, InternalCa, InternalCaOptions, IssuerOptions};
    use crate::certs::policy::Issuers;
    use crate::storage::{FileStorage, Storage};

    const ID: &str = "ca.test-dir";

    /// A CA that the operator calls `corp`, with its staging issuer.
    fn issuers(data: &Path) -> Issuers {
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(data).unwrap());
        let options = IssuerOptions {
            staging: Some("https://ca.test/staging".parse().unwrap()),
            ..IssuerOptions::new("corp".to_owned(), "https://ca.test/dir".parse().unwrap())
        };
        let solvers = Solvers::default();
        let corp = AcmeIssuer::new(&options, &[], Arc::clone(&storage), solvers).unwrap();
        Issuers {
            public: vec![Arc::new(corp)],
            internal: Arc::new(InternalCa::new(storage, InternalCaOptions::default())),
        }
    }

    fn held() -> issuer::Error {
        issuer::Error::Held(Box::new(HoldReason::Spent {
            what: "orders",
            limit: Limits::PUBLIC.orders.unwrap(),
            whose: "this account".to_owned(),
            issuer: ID.to_owned(),
            until: SystemTime::UNIX_EPOCH,
        }))
    }

    #[test]
    fn an_issuer_goes_by_the_operators_name_and_an_unconfigured_one_by_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let issuers = issuers(dir.path());
        for (id, name) in [
            (ID, "corp"),
            ("ca.test-staging", "corp-staging"),
            ("internal", "internal"),
            ("removed.test-dir", "removed.test-dir"),
        ] {
            assert_eq!(issuers.name_of(id), name);
        }
    }

    #[test]
    fn a_failure_names_issuers_without_their_ids() {
        let dir = tempfile::tempdir().unwrap();
        let issuers = issuers(dir.path());
        let corp = issuers.public[0].as_ref();
        assert_eq!(corp.id(), ID);
        let errors = [held(), issuer::Error::NoSubject];

        let failures = errors.map(|error| (corp.name().to_owned(), Error::of(corp, error)));
        let failed = FailedAttempt::of(failures.into(), None);

        let sentence = format!("{} {}", failed.error, failed.tried[0]);
        assert_eq!(sentence.matches("corp").count(), 4, "{sentence}");
        assert!(!sentence.contains(ID), "{sentence}");
    }
}
