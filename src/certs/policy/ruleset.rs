//! The rules of all sites as one value. A reload replaces it as a whole.

use std::sync::Arc;

use super::on_cert::OnCert;
use super::policy::{Issuers, Policy};
use crate::certs::issuer::Issuer;
use crate::certs::preflight::Preflight;
use crate::name::{HostPattern, NameMap};

/// Everything that the configuration says about certificates.
#[derive(Debug)]
pub struct Ruleset {
    /// The names that may have a certificate, each with its site's rules.
    pub policies: NameMap<Arc<Policy>>,
    /// The issuers.
    pub issuers: Issuers,
    /// Checks DNS, CAA and port 80 before a CA is asked.
    pub preflight: Option<Arc<Preflight>>,
    /// The command to run after each new certificate.
    pub on_cert: Option<OnCert>,
}

impl Ruleset {
    /// Returns the policy of a subject. A pattern has one only if all names of its site share one certificate.
    pub(crate) fn policy(&self, subject: &HostPattern) -> Option<&Arc<Policy>> {
        match subject {
            HostPattern::Exact(name) => self.policies.lookup(name.as_str()),
            pattern => {
                let policy = self.policies.get(pattern);
                policy.filter(|policy| policy.managed() == Some(pattern))
            }
        }
    }

    /// `true` if the subject's certificate is obtained at the start and renewed from then on.
    pub(crate) fn manages(&self, subject: &HostPattern) -> bool {
        let policy = self.policies.get(subject);
        policy.is_some_and(|policy| policy.managed() == Some(subject))
    }
}

/// A policy and the ruleset that it belongs to. An attempt keeps the rules it began with, even across a reload.
#[derive(Clone, Debug)]
pub(crate) struct AppliedPolicy {
    pub(crate) ruleset: Arc<Ruleset>,
    pub(crate) policy: Arc<Policy>,
}

impl AppliedPolicy {
    /// Returns the issuers that may sign for `subject`, in the order in which they are tried.
    pub(crate) fn issuers(&self, subject: &HostPattern) -> &[Arc<dyn Issuer>] {
        self.ruleset.issuers.for_subject(subject, &self.policy)
    }
}
