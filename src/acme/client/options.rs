//! Settings of the client: the CA and the time-outs.

use std::time::Duration;

use url::Url;

use crate::acme::jws::ExternalAccount;

/// Settings of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// URL of the CA's directory, which must be https.
    pub directory: Url,
    /// Extra root certificates for HTTPS requests to the CA, in PEM.
    pub root_pem: Option<Vec<u8>>,
    /// Credentials that bind a new account to an existing one of the operator at the CA.
    pub external_account: Option<ExternalAccount>,
    /// Time-out of a request, from its start to the last byte of the response.
    pub request_timeout: Duration,
    /// Time-out of connecting to the CA.
    pub connect_timeout: Duration,
    /// Time-out of the validation of one challenge.
    pub authorization_timeout: Duration,
    /// Time-out from the CSR to the certificate.
    pub finalize_timeout: Duration,
}

impl Options {
    /// Takes the default time-outs for the CA of `directory`.
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
