//! What a configuration says of names, for a desk without a running proxy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::certs::{Issuers, Policy, Records, Standing, StandingSources};
use crate::name::{HostName, NameMap};

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
    pub(super) async fn standing(&self, records: &Records, name: &HostName) -> Standing {
        let sources = StandingSources {
            policies: &self.policies,
            issuers: &self.issuers,
            records,
            files: Some(&self.files),
        };
        sources.standing(name, SystemTime::now()).await
    }
}
