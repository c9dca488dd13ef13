//! Which CA to talk to, and how long to wait for it.

use std::time::Duration;

use url::Url;

use crate::acme::jws::ExternalAccount;

/// The CA and the client's patience with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The CA's directory; https only.
    pub directory: Url,
    /// PEM roots that the CA's own HTTPS may be signed by, beside the system's.
    pub root_pem: Option<Vec<u8>>,
    /// What binds a new account to one that the operator has with the CA already.
    pub external_account: Option<ExternalAccount>,
    /// The limit of one request, from its start to the last byte of its answer.
    pub request_timeout: Duration,
    /// The limit of connecting to the CA.
    pub connect_timeout: Duration,
    /// How long the CA may take to validate one challenge.
    pub authorization_timeout: Duration,
    /// How long the CA may take from the CSR to the certificate.
    pub finalize_timeout: Duration,
}

impl Options {
    /// The usual patience with the CA of `directory`.
    #[must_use]
    pub fn new(directory: Url) -> Self {
        Self {
            directory,
            root_pem: None,
            external_account: None,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            authorization_timeout: Duration::from_secs(120),
            finalize_timeout: Duration::from_secs(300),
        }
    }
}
