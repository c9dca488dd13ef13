//! What the configuration says of certificates, as one value that is swapped whole when it is read again.

use std::sync::Arc;

use super::on_cert::OnCert;
use super::policy::{Issuers, Policy};
use crate::certs::preflight::Preflight;
use crate::certs::records::Records;
use crate::certs::status::StandingSources;
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

    /// What the standing of a name is made of beside what a running proxy knows.
    pub(crate) fn sources<'a>(&'a self, records: &'a Records) -> StandingSources<'a> {
        StandingSources {
            policies: &self.policies,
            issuers: &self.issuers,
            records,
            files: None,
        }
    }

    /// Whether the subject is spelled out, so that it is seen to from the start.
    pub(crate) fn manages(&self, subject: &HostPattern) -> bool {
        let policy = self.policies.get(subject);
        policy.is_some_and(|policy| policy.managed() == Some(subject))
    }
}

/// A policy with the rules that it is one of: what has begun by them ends by them.
#[derive(Clone, Debug)]
pub(crate) struct Ruling {
    pub(crate) rules: Arc<Ruleset>,
    pub(crate) policy: Arc<Policy>,
}
