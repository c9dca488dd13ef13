//! Reasons why one issuer did not sign a certificate, and what follows from each for budgets and retries.

use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::NameConstraint;
use super::internal::list;
use crate::acme::{Blame, Step};
use crate::certs::budget::{HoldReason, LimitError, Reach, RetryLater, Usage};
use crate::certs::certificate::CertificateError;
use crate::name::HostPattern;
use crate::{acme, storage};

/// Failed attempt to obtain a certificate from one issuer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA refused, failed or was unreachable.
    #[error("{}", .0.sentence())]
    Acme(#[from] acme::Error),
    /// Several orders failed, each with another challenge type.
    #[error("{}", each_order(.0))]
    Unproved(Vec<acme::Error>),
    /// No configured challenge can prove the name.
    #[error(
        "no configured challenge can prove {0} to a CA: a wildcard needs dns-01, so give its site a `dns` setting; \
         an address needs http-01 or tls-alpn-01"
    )]
    NoSolver(HostPattern),
    /// Storage failed for the account or another record of the issuer.
    #[error("{0}")]
    Storage(#[from] storage::Error),
    /// The root file of the configuration could not be read.
    #[error("the root file {path} cannot be read: {source}")]
    Root {
        /// Path of the file.
        path: String,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A stored key or certificate is damaged.
    #[error(
        "the stored record {location} is damaged: {source}; remove it, and a new one is created"
    )]
    Damaged {
        /// Location of the record.
        location: String,
        /// Damage that was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The root of the internal CA has expired.
    #[error(
        "the internal CA's root expired at {}; remove {}, restart, run `proxy trust`",
        humantime::format_rfc3339_seconds(*at), both(folder, leaves)
    )]
    RootExpired {
        /// End of its validity.
        at: SystemTime,
        /// Folder of the CA.
        folder: String,
        /// Folder of the certificates that it signed.
        leaves: String,
    },
    /// The name constraints of the internal CA's root exclude the name.
    #[error(
        "the internal CA may not sign for {subject}, only for {}; add it to `name-constraints`, remove {}, restart, run `proxy trust`",
        list(permitted),
        both(folder, leaves)
    )]
    NotPermitted {
        /// Name that was requested.
        subject: HostPattern,
        /// Name constraints of the root.
        permitted: Vec<NameConstraint>,
        /// Folder of the CA.
        folder: String,
        /// Folder of the certificates that it signed.
        leaves: String,
    },
    /// A key or a certificate signing request could not be created.
    #[error("the certificate request could not be created: {0}")]
    Request(#[from] rcgen::Error),
    /// The generation of a key was interrupted.
    #[error("the certificate's key could not be created: the task was interrupted")]
    Interrupted,
    /// The CA does not offer the configured profile.
    #[error("the CA offers no profile `{wanted}`{}", other_profiles(.offered))]
    Profile {
        /// Configured profile.
        wanted: String,
        /// Profiles that the CA offers.
        offered: Vec<String>,
    },
    /// The CA offers the profile, but not to this account or for this name.
    #[error("the CA refuses the profile `{wanted}`: {}{}", detail(.refusal), instead_of_profile(.others))]
    ProfileRefused {
        /// Configured profile.
        wanted: String,
        /// Other profiles that the CA offers.
        others: Vec<String>,
        /// Answer of the CA to the order.
        #[source]
        refusal: Box<acme::Error>,
    },
    /// The issuer has no account and does not revoke certificates.
    #[error(
        "`{issuer}` is not an ACME CA: it has no account, and its certificates cannot be revoked"
    )]
    NoAccount {
        /// Name of the issuer.
        issuer: String,
    },
    /// The certificate from the CA cannot be served.
    #[error("the certificate that the CA sent cannot be used: {0}")]
    Certificate(#[from] CertificateError),
    /// A budget is spent, or the CA has asked for a pause.
    #[error("{0}")]
    Held(Box<HoldReason>),
    /// The name is proved by a persistent record, which names the account at another CA.
    #[error("the persistent TXT record is for the account at another CA")]
    OtherAccount,
    /// The subject is `*`, which no certificate can cover.
    #[error("a certificate cannot be for `*`; name the hosts")]
    NoSubject,
}

impl Error {
    /// Whether the CA signed a certificate that cannot be used. It counts against the limits of the CA.
    #[must_use]
    pub fn has_spent_certificate(&self) -> bool {
        match self {
            Self::Certificate(_) => true,
            _ => self.protocol().is_some_and(has_spent_certificate),
        }
    }

    /// Whether further attempts will fail too until an operator acts.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NoSolver(_) => true,
            Self::Profile { .. } | Self::ProfileRefused { .. } | Self::NoAccount { .. } => true,
            _ => self.protocol().is_some_and(acme::Error::is_permanent),
        }
    }

    /// Returns the part of the CA's limits that the attempt has used.
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

    /// Returns how far the attempt got. If this is uncertain, assumes the furthest.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self {
            Self::Certificate(_) => Reach::Certificate,
            Self::Acme(error) => reach(error),
            Self::Unproved(errors) => errors.iter().map(reach).max().unwrap_or(Reach::Order),
            Self::Storage(_) => Reach::Order,
            _ => Reach::Nothing,
        }
    }

    /// Number of failed authorizations in this error.
    #[must_use]
    pub fn failed_authorizations(&self) -> u32 {
        self.failures().iter().map(failed_authorizations).sum()
    }

    /// Returns the types of the failed challenges.
    #[must_use]
    pub fn challenges(&self) -> Vec<String> {
        let challenges = self.failures().iter().filter_map(acme::Error::challenge);
        challenges.map(ToString::to_string).collect()
    }

    /// Returns the time from `now` until the next attempt is allowed, if the CA or a budget sets one.
    #[must_use]
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        match self {
            Self::Held(held) => held.until().duration_since(now).ok(),
            _ => self.protocol().and_then(acme::Error::retry_after),
        }
    }

    /// Returns the last protocol error.
    #[must_use]
    pub fn protocol(&self) -> Option<&acme::Error> {
        self.failures().last()
    }

    fn failures(&self) -> &[acme::Error] {
        match self {
            Self::Acme(error) => std::slice::from_ref(error),
            Self::Unproved(errors) => errors,
            _ => &[],
        }
    }

    /// Returns the sentence without the orders that failed before the last one. The log has a line for each of them.
    #[must_use]
    pub fn last_cause(&self) -> String {
        match self {
            Self::Unproved(errors) => errors.last().map_or_else(String::new, with_challenge),
            error => error.to_string(),
        }
    }

    /// Returns which party has caused the failure.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Acme(error) => error.blame(),
            Self::Unproved(errors) => errors.last().map_or(Blame::Name, acme::Error::blame),
            // Another issuer may support other challenges, and CAA may allow it.
            Self::NoSolver(_) => Blame::CaForName,
            Self::Profile { .. } | Self::ProfileRefused { .. } => Blame::Ca,
            Self::NoAccount { .. } | Self::OtherAccount => Blame::Ca,
            Self::Held(_) => Blame::Ca,
            Self::Certificate(_) | Self::Damaged { .. } => Blame::Ca,
            Self::Root { .. } | Self::Storage(_) | Self::Request(_) => Blame::Machine,
            Self::NoSubject | Self::Interrupted => Blame::Machine,
            Self::RootExpired { .. } | Self::NotPermitted { .. } => Blame::Machine,
        }
    }
}

impl From<LimitError> for Error {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Held(held) => Self::Held(held),
            LimitError::Storage(error) => Self::Storage(error),
        }
    }
}

/// Names two folders of the data directory.
fn both(one: &str, other: &str) -> String {
    let (data, name) = one.rsplit_once('/').unwrap_or(("", one));
    match other.strip_prefix(data).and_then(|it| it.strip_prefix('/')) {
        Some(other) if !data.is_empty() => format!("{name} and {other} in {data}"),
        _ => format!("{one} and {other}"),
    }
}

fn other_profiles(offered: &[String]) -> String {
    match offered {
        [] => "; remove `profile` of the issuer: the CA has no profiles".to_owned(),
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

/// Returns the details that the CA gave, otherwise the whole sentence.
fn detail(refusal: &acme::Error) -> String {
    let details = refusal.problem().map(acme::Problem::details);
    match details.filter(|details| !details.is_empty()) {
        Some(details) => details.trim_end_matches('.').to_owned(),
        None => refusal.sentence(),
    }
}

/// Joins the failures of all orders of an attempt.
fn each_order(errors: &[acme::Error]) -> String {
    let sentences = errors.iter().map(with_challenge);
    sentences.collect::<Vec<_>>().join("; and then, ")
}

fn with_challenge(error: &acme::Error) -> String {
    match error.challenge() {
        Some(challenge) => format!("by {challenge}, {}", error.sentence()),
        None => error.sentence(),
    }
}

/// Whether the order became valid but its certificate cannot be downloaded, now or later.
fn has_spent_certificate(error: &acme::Error) -> bool {
    match error {
        acme::Error::Chain(_) | acme::Error::NoCertificate => true,
        acme::Error::Refused { step, status, .. } | acme::Error::Status { step, status, .. } => {
            let is_temporary = *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
            *step == Step::Certificate && !is_temporary
        }
        _ => false,
    }
}

/// Number of failed authorizations. A pending one counts too, because it may fail later.
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
        Error::Preparation { .. } => Reach::Nothing,
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
    fn a_held_order_waits_by_the_clock_of_the_caller() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        let wait = Duration::from_secs(3600);
        let held = Error::Held(Box::new(HoldReason::Closed {
            issuer: "ca".to_owned(),
            whose: "this account".to_owned(),
            until: now + wait,
            reason: "busy".to_owned(),
        }));
        assert_eq!(held.retry_after(now), Some(wait));
    }

    #[test]
    fn a_certificate_that_may_be_signed_counts_as_signed() {
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
        let unusable = Error::Certificate(CertificateError::KeyMismatch);
        assert_eq!(unusable.reach(), Reach::Certificate);
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
