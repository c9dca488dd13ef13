//! Why an issuer gave no certificate.

use std::time::Duration;

use crate::certs::CertificateError;
use crate::name::HostPattern;
use crate::{acme, storage};

/// A failed attempt to get a certificate signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA refused, failed or could not be reached.
    #[error("{}", .0.sentence())]
    Acme(#[from] acme::Error),
    /// More than one order was placed in the attempt, each for another type of challenge.
    #[error("{}", each(.0))]
    Unproved(Vec<acme::Error>),
    /// No way to prove such a name is set up.
    #[error(
        "nothing that is set up can prove {0} to a CA: a wildcard needs dns-01, so give its site a `dns` setting; \
         an address needs http-01 or tls-alpn-01"
    )]
    NoSolver(HostPattern),
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
        match self {
            Self::NoSolver(_) => true,
            _ => self.protocol().is_some_and(acme::Error::is_permanent),
        }
    }

    /// How long the CA asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.protocol().and_then(acme::Error::retry_after)
    }

    /// What went wrong last between this machine and the CA.
    #[must_use]
    pub fn protocol(&self) -> Option<&acme::Error> {
        match self {
            Self::Acme(error) => Some(error),
            Self::Unproved(errors) => errors.last(),
            _ => None,
        }
    }
}

/// Why each order of an attempt failed.
fn each(errors: &[acme::Error]) -> String {
    let sentences = errors.iter().map(|error| match error.challenge() {
        Some(challenge) => format!("by {challenge}, {}", error.sentence()),
        None => error.sentence(),
    });
    sentences.collect::<Vec<_>>().join("; and then, ")
}
