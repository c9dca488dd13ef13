//! What the operator calls the issuers, in the place of the ids that their records are kept under.

use super::failover::Unsigned;
use crate::certs::budget::Held;
use crate::certs::issuer::{Error, Issuer};
use crate::certs::policy::Issuers;
use crate::certs::records::Trial;

impl Issuers {
    /// What the operator calls the issuer with this id; the id where no issuer has it any more.
    #[must_use]
    pub fn name_of<'a>(&'a self, id: &'a str) -> &'a str {
        let known = self.public.iter().chain([&self.internal]);
        let known = known.map(|issuer| &**issuer);
        let mut known = known.flat_map(|issuer| [Some(issuer), issuer.staging()]);
        let found = known.find_map(|issuer| issuer.filter(|issuer| issuer.id() == id));
        found.map_or(id, Issuer::name)
    }

    /// The same failure with the issuers as the operator calls them.
    pub(super) fn named(&self, unsigned: Unsigned) -> Unsigned {
        let Unsigned {
            error,
            tried,
            doubt,
        } = unsigned;
        let tried = tried.into_iter().map(|trial| Trial {
            issuer: self.name_of(&trial.issuer).to_owned(),
            ..trial
        });
        Unsigned {
            tried: tried.collect(),
            error: self.named_error(error),
            doubt,
        }
    }

    fn named_error(&self, error: Error) -> Error {
        match error {
            Error::Held(held) => Error::Held(Box::new(self.named_held(*held))),
            Error::All(failures) => {
                let failures = failures.into_iter().map(|(id, error)| {
                    let name = self.name_of(&id).to_owned();
                    (name, self.named_error(error))
                });
                Error::All(failures.collect())
            }
            other => other,
        }
    }

    pub(crate) fn named_held(&self, mut held: Held) -> Held {
        let (Held::Spent { issuer, .. } | Held::Closed { issuer, .. }) = &mut held;
        *issuer = self.name_of(issuer).to_owned();
        held
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
        let tried = vec![Trial {
            issuer: ID.to_owned(),
            challenges: Vec::new(),
        }];

        let named = issuers(dir.path()).named(Unsigned {
            error,
            tried,
            doubt: None,
        });

        let sentence = format!("{} {}", named.error, named.tried[0]);
        assert_eq!(sentence.matches("corp").count(), 4, "{sentence}");
        assert!(!sentence.contains(ID), "{sentence}");
    }
}
