//! What a configuration says of names, for a desk without a running proxy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::certs::issuer::RecordToSet;
use crate::certs::{Issuers, Policy, Records, Standing, StandingSources};
use crate::name::{HostPattern, NameMap};

/// Who may have a certificate, from whom, and which ones the operator brings.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Who may have a certificate.
    pub policies: NameMap<Arc<Policy>>,
    /// Who signs.
    pub issuers: Issuers,
    /// The chains that the operator brings, by site.
    pub files: NameMap<PathBuf>,
}

impl Blueprint {
    /// What stands between a name and its certificate, from its records and the configuration.
    pub(super) async fn standing(&self, records: &Records, name: &HostPattern) -> Standing {
        let sources = self.sources(records);
        sources.standing_of_pattern(name, SystemTime::now()).await
    }

    /// The TXT records that have to be set once for a name to be proved.
    pub(super) async fn records_to_set(
        &self,
        records: &Records,
        name: &HostPattern,
    ) -> Vec<RecordToSet> {
        self.sources(records).records_to_set(name).await
    }

    fn sources<'a>(&'a self, records: &'a Records) -> StandingSources<'a> {
        StandingSources {
            policies: &self.policies,
            issuers: &self.issuers,
            records,
            files: Some(&self.files),
        }
    }
}
