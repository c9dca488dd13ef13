//! The flags and environment variables as the user wrote them.

use crate::config::value::SecretText;
use std::path::PathBuf;

/// The flags before they are parsed. Each field has the name of its flag.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// Addresses of the backends.
    pub upstream: Vec<String>,
    /// Host names of the sites.
    pub domain: Vec<String>,
    /// URL that decides which other names are allowed.
    pub on_demand_ask: Option<String>,
    /// Contact for the CA.
    pub email: Option<String>,
    /// ACME directory of the CA.
    pub acme_directory: Option<String>,
    /// Uses Let's Encrypt's staging CA.
    pub staging: bool,
    /// PEM file with an extra root certificate for the HTTPS of the CA.
    pub acme_root: Option<PathBuf>,
    /// Turns off the checks of names before they are ordered.
    pub no_preflight: bool,
    /// Key identifier of the external account.
    pub eab_key_id: Option<String>,
    /// HMAC key of the external account, or a reference to it.
    pub eab_hmac_key: Option<SecretText>,
    /// Addresses of the HTTP listeners, each perhaps after its name and `=`.
    pub listen_http: Vec<String>,
    /// Addresses of the HTTPS listeners, in the same form.
    pub listen_https: Vec<String>,
    /// Storage of durable data.
    pub storage: Option<String>,
    /// Path of the admin socket.
    pub admin: Option<PathBuf>,
    /// Address of the metrics listener.
    pub metrics: Option<String>,
    /// File of the access log.
    pub access_log: Option<String>,
    /// Level of the log.
    pub log_level: Option<String>,
    /// Format of the log.
    pub log_format: Option<String>,
}

impl Flags {
    /// Returns true if the flags define sites, so that no Proxyfile is read.
    #[must_use]
    pub fn name_sites(&self) -> bool {
        !self.upstream.is_empty() || !self.domain.is_empty() || self.on_demand_ask.is_some()
    }
}
