//! What the configuration says of certificates, as one value that is swapped whole when it is read again.

use std::sync::Arc;

use super::on_cert::OnCert;
use super::policy::{Issuers, Policy};
use crate::certs::issuer::Issuer;
use crate::certs::preflight::Preflight;
use crate::name::{HostPattern, NameMap};

/// Who may have certificates, and how they get them.
#[derive(Debug)]
pub struct Ruleset {
    /// Who may have a certificate.
    pub policies: NameMap<Arc<Policy>>,
    /// Who signs.
    pub issuers: Issuers,
    /// Looks at each name before its CA is asked.
    pub preflight: Option<Arc<Preflight>>,
    /// What is run after each new certificate.
    pub on_cert: Option<OnCert>,
}

impl Ruleset {
    /// The policy of a subject: for a pattern what a site has for all its names, and none where a certificate only lies
    /// there.
    pub(crate) fn policy(&self, subject: &HostPattern) -> Option<&Arc<Policy>> {
        match subject {
            HostPattern::Exact(name) => self.policies.lookup(name.as_str()),
            pattern => {
                let policy = self.policies.get(pattern);
                policy.filter(|policy| policy.managed() == Some(pattern))
            }
        }
    }

    /// Whether the subject is spelled out, so that it is seen to from the start.
    pub(crate) fn manages(&self, subject: &HostPattern) -> bool {
        let policy = self.policies.get(subject);
        policy.is_some_and(|policy| policy.managed() == Some(subject))
    }
}

/// A policy with the ruleset that it is one of: an attempt ends by the rules that it began with.
#[derive(Clone, Debug)]
pub(crate) struct AppliedPolicy {
    pub(crate) ruleset: Arc<Ruleset>,
    pub(crate) policy: Arc<Policy>,
}

impl AppliedPolicy {
    /// Who may sign for `subject`, in the order in which they are tried.
    pub(crate) fn issuers(&self, subject: &HostPattern) -> &[Arc<dyn Issuer>] {
        self.ruleset.issuers.for_subject(subject, &self.policy)
    }
}
