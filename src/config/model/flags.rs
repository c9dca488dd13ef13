//! The values of flags and environment variables as the user wrote them.

use crate::config::value::SecretText;
use std::path::PathBuf;

/// What the command line says, before it is read; each field is named after its flag.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// Where requests go.
    pub upstream: Vec<String>,
    /// The host names.
    pub domain: Vec<String>,
    /// The URL that says which other names are allowed.
    pub on_demand_ask: Option<String>,
    /// The contact for the CA.
    pub email: Option<String>,
    /// The CA.
    pub acme_directory: Option<String>,
    /// Whether to use Let's Encrypt's staging CA.
    pub staging: bool,
    /// A PEM file with an extra root for the CA's own HTTPS.
    pub acme_root: Option<PathBuf>,
    /// Whether names are sent to the CA without a look at them.
    pub no_preflight: bool,
    /// The CA's name for the credentials that bind the account.
    pub eab_key_id: Option<String>,
    /// Their key: the text, or where it is.
    pub eab_hmac_key: Option<SecretText>,
    /// Where HTTP is answered.
    pub listen_http: Option<String>,
    /// Where HTTPS is served.
    pub listen_https: Option<String>,
    /// Where data is kept.
    pub storage: Option<String>,
    /// The admin socket.
    pub admin: Option<PathBuf>,
    /// Where metrics are served.
    pub metrics: Option<String>,
    /// Where requests are logged.
    pub access_log: Option<String>,
    /// How much the log says.
    pub log_level: Option<String>,
    /// The form of a log line.
    pub log_format: Option<String>,
}

impl Flags {
    /// Whether the sites stand on the command line and no file is wanted.
    #[must_use]
    pub fn name_sites(&self) -> bool {
        !self.upstream.is_empty() || !self.domain.is_empty() || self.on_demand_ask.is_some()
    }
}
