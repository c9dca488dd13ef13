//! Why an issuer gave no certificate.

use std::time::Duration;

use crate::acme::Step;
use crate::certs::{CertificateError, Held};
use crate::{acme, storage};

/// How far an attempt came at the CA, as far as its limits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No order was placed.
    Nothing,
    /// An order was placed, and no certificate was signed.
    Order,
    /// A certificate was signed, or may have been.
    Certificate,
}

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
    /// A key or a request could not be made.
    #[error("the certificate request could not be made: {0}")]
    Request(#[from] rcgen::Error),
    /// What the CA sent cannot be served.
    #[error("the certificate that the CA sent cannot be used: {0}")]
    Certificate(#[from] CertificateError),
    /// A budget is spent.
    #[error("{0}")]
    Held(Held),
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
        matches!(self, Self::Certificate(_) | Self::NotText)
    }

    /// Whether the CA will say the same until an operator has acted.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Acme(error) if error.is_permanent())
    }

    /// How far the attempt came; where that cannot be told, as far as it may have come.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self {
            Self::Certificate(_) | Self::NotText => Reach::Certificate,
            Self::Acme(error) => reach(error),
            Self::Storage(_) => Reach::Order,
            Self::Root { .. } | Self::Damaged { .. } | Self::Request(_) => Reach::Nothing,
            Self::Held(_) | Self::NoSubject => Reach::Nothing,
        }
    }

    /// How many authorizations the CA has found wanting, as far as this error tells.
    #[must_use]
    pub fn failed_authorizations(&self) -> u32 {
        use acme::Error::{Authorization, AuthorizationTimeout};
        let failed = matches!(
            self,
            // What the CA was still looking at may fail after all.
            Self::Acme(Authorization { .. } | AuthorizationTimeout { .. })
        );
        u32::from(failed)
    }

    /// The types of the challenges that failed.
    #[must_use]
    pub fn challenges(&self) -> Vec<String> {
        match self {
            Self::Acme(acme::Error::Authorization { challenge, .. }) => vec![challenge.to_string()],
            _ => Vec::new(),
        }
    }

    /// How long the CA asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Acme(error) => error.retry_after(),
            _ => None,
        }
    }
}

fn reach(error: &acme::Error) -> Reach {
    use acme::Error;
    let is_refused = error
        .status()
        .is_some_and(|status| status.is_client_error());
    match error {
        Error::OrderTimeout { .. } | Error::NoCertificate | Error::Chain(_) => Reach::Certificate,
        Error::Connect {
            step: Step::NewOrder,
            ..
        } => Reach::Nothing,
        error => match error.step() {
            Some(Step::Directory | Step::NewNonce | Step::NewAccount) => Reach::Nothing,
            Some(Step::NewOrder) if is_refused => Reach::Nothing,
            Some(Step::Finalize) if is_refused => Reach::Order,
            Some(Step::Finalize | Step::Order | Step::Certificate) => Reach::Certificate,
            Some(_) => Reach::Order,
            None if error.is_about_this_machine() => Reach::Nothing,
            None => Reach::Order,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(step: Step) -> Error {
        Error::Acme(acme::Error::Timeout {
            step,
            url: "https://ca.example/".parse().unwrap(),
            limit: Duration::from_secs(1),
        })
    }

    #[test]
    fn what_may_have_been_signed_counts_as_signed() {
        for (step, reached) in [
            (Step::Directory, Reach::Nothing),
            (Step::NewAccount, Reach::Nothing),
            (Step::NewOrder, Reach::Order),
            (Step::Challenge, Reach::Order),
            (Step::Finalize, Reach::Certificate),
            (Step::Certificate, Reach::Certificate),
        ] {
            assert_eq!(timeout(step).reach(), reached, "{step}");
        }
        assert_eq!(Error::NoSubject.reach(), Reach::Nothing);
        assert_eq!(Error::NotText.reach(), Reach::Certificate);
    }

    #[test]
    fn an_authorization_that_may_fail_counts_as_failed() {
        let identifier = acme::Identifier::Dns("www.example.org".to_owned());
        let limit = Duration::from_secs(1);
        let error = acme::Error::AuthorizationTimeout { identifier, limit };
        assert_eq!(Error::Acme(error).failed_authorizations(), 1);
        assert_eq!(timeout(Step::Challenge).failed_authorizations(), 0);
    }
}
