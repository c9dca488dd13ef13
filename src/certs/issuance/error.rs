//! Reasons why nobody has signed a certificate. What one CA said is `issuer::Error`.

use std::time::{Duration, SystemTime};

use crate::acme::Blame;
use crate::certs::budget::Held;
use crate::certs::issuer;
use crate::certs::policy::Issuers;
use crate::certs::preflight::Reason;
use crate::certs::public_suffix::Unsignable;
use crate::certs::records::TriedIssuer;
use crate::storage;

/// A failed attempt to get a certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The issuer failed.
    #[error("{0}")]
    Issuer(issuer::Error),
    /// A budget is spent, or the CA wants to be left alone by all names.
    #[error("{0}")]
    Held(Box<Held>),
    /// The CA wants to be left alone about the name.
    #[error("the CA allows the next try in {}", humantime::format_duration(Duration::from_secs(.wait.as_secs().max(1))))]
    Resting {
        /// For how long.
        wait: Duration,
    },
    /// The CA is a public one, and none of them can sign the name.
    #[error("{0}")]
    NoPublicCa(Unsignable),
    /// Preflight showed that the CA would refuse the name.
    #[error("{0}; the CA was not asked")]
    Preflight(#[from] Reason),
    /// All issuers of the name have failed.
    #[error("{}", each_issuer(.0))]
    All(Vec<(String, Self)>),
}

impl Error {
    /// Whether a CA has signed a certificate for nothing, which counts against its limits.
    pub(super) fn has_spent_certificate(&self) -> bool {
        match self {
            Self::Issuer(error) => error.has_spent_certificate(),
            Self::All(failures) => failures
                .iter()
                .any(|(_, error)| error.has_spent_certificate()),
            _ => false,
        }
    }

    /// Whether every issuer will say the same until an operator has acted.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Issuer(error) => error.is_permanent(),
            Self::NoPublicCa(_) => true,
            Self::All(failures) => failures.iter().all(|(_, error)| error.is_permanent()),
            _ => false,
        }
    }

    /// The types of the challenges that failed.
    fn challenges(&self) -> Vec<String> {
        match self {
            Self::Issuer(error) => error.challenges(),
            _ => Vec::new(),
        }
    }

    /// How long from now the CA asked to be left alone.
    pub(super) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        match self {
            Self::Issuer(error) => error.retry_after(now),
            Self::Held(held) => held.until().duration_since(now).ok(),
            Self::Resting { wait } => Some(*wait),
            // As soon as any of them may be asked again.
            Self::All(failures) => {
                let waits = failures.iter().map(|(_, error)| error.retry_after(now));
                waits.min().flatten()
            }
            Self::NoPublicCa(_) | Self::Preflight(_) => None,
        }
    }

    /// Whose fault it is.
    pub(super) fn blame(&self) -> Blame {
        match self {
            Self::Issuer(error) => error.blame(),
            Self::Held(_) | Self::Resting { .. } => Blame::Ca,
            // Another issuer may have other ways, and is another one to CAA.
            Self::NoPublicCa(_) => Blame::CaForName,
            Self::Preflight(reason) if reason.is_about_issuer() => Blame::CaForName,
            Self::Preflight(_) => Blame::Name,
            Self::All(failures) => failures
                .last()
                .map_or(Blame::Ca, |(_, error)| error.blame()),
        }
    }

    /// Whether the issuer was not asked, and nothing said against the name that another would say as well.
    pub(super) fn was_passed_over(&self) -> bool {
        matches!(
            self,
            Self::Held(_) | Self::NoPublicCa(_) | Self::Resting { .. }
        )
    }

    /// The failures of several issuers as one.
    fn of_all(mut failures: Vec<(String, Self)>) -> Self {
        match failures.len() {
            1 => failures.remove(0).1,
            _ => Self::All(failures),
        }
    }

    fn named(self, issuers: &Issuers) -> Self {
        match self {
            Self::Held(held) => issuers.named_held(*held).into(),
            Self::All(failures) => {
                let failures = failures.into_iter().map(|(id, error)| {
                    let name = issuers.name_of(&id).to_owned();
                    (name, error.named(issuers))
                });
                Self::All(failures.collect())
            }
            other => other,
        }
    }
}

impl From<issuer::Error> for Error {
    fn from(error: issuer::Error) -> Self {
        match error {
            issuer::Error::Held(held) => Self::Held(held),
            other => Self::Issuer(other),
        }
    }
}

impl From<Held> for Error {
    fn from(held: Held) -> Self {
        Self::Held(Box::new(held))
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        Self::Issuer(error.into())
    }
}

fn each_issuer(failures: &[(String, Error)]) -> String {
    let sentences: Vec<_> = failures
        .iter()
        .map(|(issuer, error)| format!("{issuer}: {error}"))
        .collect();
    sentences.join("; ")
}

/// The end of an attempt in which nobody has signed.
#[derive(Debug)]
pub(super) struct Unsigned {
    pub(crate) error: Error,
    /// Who was asked.
    pub(crate) tried: Vec<TriedIssuer>,
    /// What this machine saw of the name before.
    pub(crate) doubt: Option<Reason>,
}

impl Unsigned {
    pub(super) fn of(failures: Vec<(String, Error)>, doubt: Option<Reason>) -> Self {
        let tried = failures
            .iter()
            .filter(|(_, error)| !error.was_passed_over() && !matches!(error, Error::Preflight(_)));
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

    /// What holds the name back where nobody was asked, and until when: as soon as one of the issuers
    /// takes orders again.
    pub(crate) fn held(&self) -> Option<Held> {
        let held = |error: &Error| match error {
            Error::Held(held) => Some(Held::clone(held)),
            _ => None,
        };
        match &self.error {
            Error::All(failures) if failures.iter().all(|(_, error)| error.was_passed_over()) => {
                let held = failures.iter().filter_map(|(_, error)| held(error));
                held.min_by_key(Held::until)
            }
            error => held(error),
        }
    }

    /// The same failure with the issuers as the operator calls them.
    pub(super) fn named(self, issuers: &Issuers) -> Self {
        let tried = self.tried.into_iter().map(|trial| TriedIssuer {
            issuer: issuers.name_of(&trial.issuer).to_owned(),
            ..trial
        });
        Self {
            tried: tried.collect(),
            error: self.error.named(issuers),
            doubt: self.doubt,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::certs::budget::Limits;
    use crate::certs::challenge::Solvers;
    use crate::certs::issuer::{AcmeIssuer, InternalCa, InternalCaOptions, IssuerOptions};
    use crate::storage::{FileStorage, Storage};

    const ID: &str = "ca.test-dir";

    /// A CA that the operator calls `corp`, with its twin.
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

    fn held() -> Error {
        Error::Held(Box::new(Held::Spent {
            what: "orders",
            limit: Limits::PUBLIC.orders.unwrap(),
            whose: "this account".to_owned(),
            issuer: ID.to_owned(),
            until: SystemTime::UNIX_EPOCH,
        }))
    }

    #[test]
    fn an_issuer_is_called_what_the_operator_calls_it_and_a_former_one_by_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let issuers = issuers(dir.path());
        for (id, name) in [
            (ID, "corp"),
            ("ca.test-staging", "corp-staging"),
            ("internal", "internal"),
            ("former.test-dir", "former.test-dir"),
        ] {
            assert_eq!(issuers.name_of(id), name);
        }
    }

    #[test]
    fn a_failure_has_no_id_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let resting = Error::Resting {
            wait: Duration::from_secs(1),
        };
        let error = Error::All(vec![(ID.to_owned(), held()), (ID.to_owned(), resting)]);
        let tried = vec![TriedIssuer {
            issuer: ID.to_owned(),
            challenges: Vec::new(),
        }];

        let named = Unsigned {
            error,
            tried,
            doubt: None,
        }
        .named(&issuers(dir.path()));

        let sentence = format!("{} {}", named.error, named.tried[0]);
        assert_eq!(sentence.matches("corp").count(), 4, "{sentence}");
        assert!(!sentence.contains(ID), "{sentence}");
    }
}
