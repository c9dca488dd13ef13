//! Reasons why one CA gave no certificate.

use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::NameConstraint;
use super::internal::list;
use crate::acme::{Blame, Step};
use crate::certs::budget::{Held, PaymentError, Reach, RetryLater, Usage};
use crate::certs::certificate::CertificateError;
use crate::name::HostPattern;
use crate::{acme, storage};

/// A failed attempt to get a certificate signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA refused, failed or could not be reached.
    #[error("{}", .0.sentence())]
    Acme(#[from] acme::Error),
    /// More than one order was placed in the attempt, each for another type of challenge.
    #[error("{}", each_order(.0))]
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
    /// The CA has the profile, and does not let the account or the name have it.
    #[error("the CA refuses the profile `{wanted}`: {}{}", said(.refusal), instead_of_profile(.others))]
    ProfileRefused {
        /// What the configuration names.
        wanted: String,
        /// What else the CA offers.
        others: Vec<String>,
        /// The CA's answer to the order.
        #[source]
        refusal: Box<acme::Error>,
    },
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
    /// A budget is spent, or the CA wants to be left alone by all names.
    #[error("{0}")]
    Held(Box<Held>),
    /// The name is proved by a record that names the account at another CA.
    #[error("the record that is set once is for the account at another CA")]
    OtherAccount,
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
            _ => self.protocol().is_some_and(has_spent_certificate),
        }
    }

    /// Whether the CA will say the same until an operator has acted.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NoSolver(_) => true,
            Self::Profile { .. } | Self::ProfileRefused { .. } | Self::NoAccount { .. } => true,
            _ => self.protocol().is_some_and(acme::Error::is_permanent),
        }
    }

    /// The end of the attempt, as the CA counts it.
    #[must_use]
    pub fn usage(&self, now: SystemTime) -> Usage {
        Usage {
            reach: self.reach(),
            failed_authorizations: self.failed_authorizations(),
            retry_later: self.retry_later(now),
        }
    }

    fn retry_later(&self, now: SystemTime) -> Option<RetryLater> {
        let wait = self.retry_after(now)?;
        let error = self.protocol()?;
        let detail = error.problem().map(|problem| problem.detail.clone());
        Some(RetryLater {
            status: error.status()?.as_u16(),
            detail: detail.unwrap_or_default(),
            wait,
            reason: self.to_string(),
        })
    }

    /// How far the attempt came; where that cannot be told, as far as it may have come.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self {
            Self::Certificate(_) | Self::NotText => Reach::Certificate,
            Self::Acme(error) => reach(error),
            Self::Unproved(errors) => errors.iter().map(reach).max().unwrap_or(Reach::Order),
            Self::Storage(_) => Reach::Order,
            _ => Reach::Nothing,
        }
    }

    /// How many authorizations the CA has found wanting, as far as this error tells.
    #[must_use]
    pub fn failed_authorizations(&self) -> u32 {
        match self {
            Self::Acme(error) => failed_authorizations(error),
            Self::Unproved(errors) => errors.iter().map(failed_authorizations).sum(),
            _ => 0,
        }
    }

    /// The types of the challenges that failed.
    #[must_use]
    pub fn challenges(&self) -> Vec<String> {
        let failures = match self {
            Self::Acme(error) => std::slice::from_ref(error),
            Self::Unproved(errors) => errors,
            _ => &[],
        };
        let challenges = failures.iter().filter_map(acme::Error::challenge);
        challenges.map(ToString::to_string).collect()
    }

    /// How long from now the CA asked to be left alone.
    #[must_use]
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        match self {
            Self::Held(held) => held.until().duration_since(now).ok(),
            _ => self.protocol().and_then(acme::Error::retry_after),
        }
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

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Acme(error) => error.blame(),
            Self::Unproved(errors) => errors.last().map_or(Blame::Name, acme::Error::blame),
            // Another issuer may have other ways, and is another one to CAA.
            Self::NoSolver(_) => Blame::CaForName,
            Self::Profile { .. } | Self::ProfileRefused { .. } => Blame::Ca,
            Self::NoAccount { .. } | Self::OtherAccount => Blame::Ca,
            Self::Held(_) => Blame::Ca,
            Self::Certificate(_) | Self::NotText | Self::Damaged { .. } => Blame::Ca,
            Self::Root { .. } | Self::Storage(_) | Self::Request(_) => Blame::Machine,
            Self::NoSubject | Self::Interrupted => Blame::Machine,
            Self::RootExpired { .. } | Self::NotPermitted { .. } => Blame::Machine,
        }
    }
}

impl From<PaymentError> for Error {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::Held(held) => Self::Held(held),
            PaymentError::Storage(error) => Self::Storage(error),
        }
    }
}

fn other_profiles(offered: &[String]) -> String {
    match offered {
        [] => "; remove `profile` of the issuer, the CA has none at all".to_owned(),
        offered => format!("; set `profile` of the issuer to {}", offered.join(", ")),
    }
}

fn instead_of_profile(others: &[String]) -> String {
    match others {
        [] => "; remove `profile` of the issuer".to_owned(),
        others => format!(
            "; set `profile` of the issuer to {}, or remove it",
            others.join(", ")
        ),
    }
}

/// The CA's own words, where it has any.
fn said(refusal: &acme::Error) -> String {
    let details = refusal.problem().map(acme::Problem::details);
    match details.filter(|details| !details.is_empty()) {
        Some(details) => details.trim_end_matches('.').to_owned(),
        None => refusal.sentence(),
    }
}

/// Why each order of an attempt failed.
fn each_order(errors: &[acme::Error]) -> String {
    let sentences = errors.iter().map(|error| match error.challenge() {
        Some(challenge) => format!("by {challenge}, {}", error.sentence()),
        None => error.sentence(),
    });
    sentences.collect::<Vec<_>>().join("; and then, ")
}

/// Whether an order was valid and its certificate cannot be had, nor will be at the next attempt.
fn has_spent_certificate(error: &acme::Error) -> bool {
    match error {
        acme::Error::Chain(_) | acme::Error::NoCertificate => true,
        acme::Error::Refused { step, status, .. } | acme::Error::Status { step, status, .. } => {
            let is_passing = *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
            *step == Step::Certificate && !is_passing
        }
        _ => false,
    }
}

/// How many authorizations the CA has found wanting. What it was still looking at may fail after all.
pub(super) fn failed_authorizations(error: &acme::Error) -> u32 {
    use acme::Error::{Authorization, AuthorizationTimeout};
    let has_failed = matches!(error, Authorization { .. } | AuthorizationTimeout { .. });
    u32::from(has_failed)
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
    fn what_is_held_waits_by_the_clock_of_those_who_hold_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        let wait = Duration::from_secs(3600);
        let held = Error::Held(Box::new(Held::Closed {
            issuer: "ca".to_owned(),
            whose: "this account".to_owned(),
            until: now + wait,
            reason: "busy".to_owned(),
        }));
        assert_eq!(held.retry_after(now), Some(wait));
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
