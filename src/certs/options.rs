//! What the configuration says of certificates.

use std::path::PathBuf;

use url::Url;

/// The CA that issues for the sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerOptions {
    /// The ACME directory.
    pub directory: Url,
    /// PEM file with the root that the directory's own HTTPS is verified against, beside the
    /// system's roots.
    pub root: Option<PathBuf>,
    /// The account's contact address.
    pub email: Option<String>,
}

/// The gate before issuance for a name that the configuration does not spell out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDemandOptions {
    /// Asked as `GET ask?domain=NAME`; 200 allows, anything else refuses.
    pub ask: Url,
}

/// A certificate that the operator brings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// PEM file with the leaf first, then the intermediates.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}
