//! The names of a configuration, for operations without a running proxy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::certs::issuer::RecordToSet;
use crate::certs::{CertificateStore, Issuers, Policy, Standing, StoredStanding};
use crate::name::{HostPattern, NameMap};

/// The names that a configuration gives certificates to, and where they come from.
#[derive(Clone, Debug)]
pub struct ConfiguredNames {
    /// The names that may have a certificate.
    pub policies: NameMap<Arc<Policy>>,
    /// The issuers.
    pub issuers: Issuers,
    /// Certificate files of the operator, by site.
    pub files: NameMap<PathBuf>,
}

impl ConfiguredNames {
    /// Returns the standing of a name, from its records and the configuration.
    pub(super) async fn standing(
        &self,
        records: &CertificateStore,
        name: &HostPattern,
    ) -> Standing {
        let sources = self.sources(records);
        sources.standing_of_pattern(name, SystemTime::now()).await
    }

    /// Returns the subject of the certificate that serves a name.
    pub(super) fn subject_of(&self, name: &HostPattern) -> HostPattern {
        let policy = match name {
            _ if self.files.get(name).is_some() => None,
            HostPattern::Exact(exact) => self.policies.lookup(exact.as_str()),
            pattern => self.policies.get(pattern),
        };
        policy.map_or_else(|| name.clone(), |policy| policy.subject_of(name))
    }

    /// Returns the TXT records that the operator has to set once for a name.
    pub(super) async fn records_to_set(
        &self,
        records: &CertificateStore,
        name: &HostPattern,
    ) -> Vec<RecordToSet> {
        self.sources(records).records_to_set(name).await
    }

    fn sources<'a>(&'a self, records: &'a CertificateStore) -> StoredStanding<'a> {
        StoredStanding {
            policies: &self.policies,
            issuers: &self.issuers,
            records,
            files: Some(&self.files),
        }
    }
}
