//! The values of flags and environment variables as the user wrote them.

use std::path::PathBuf;

/// What the command line says, before it is read. Each field is named after its flag.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the flag of its name")]
pub struct Flags {
    pub upstream: Vec<String>,
    pub domain: Vec<String>,
    pub on_demand_ask: Option<String>,
    pub email: Option<String>,
    pub acme_directory: Option<String>,
    pub staging: bool,
    pub acme_root: Option<PathBuf>,
    pub listen_http: Option<String>,
    pub listen_https: Option<String>,
    pub storage: Option<String>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
}

impl Flags {
    /// Whether the sites stand on the command line and no file is wanted.
    #[must_use]
    pub fn name_sites(&self) -> bool {
        !self.upstream.is_empty() || !self.domain.is_empty() || self.on_demand_ask.is_some()
    }
}
