//! Settings of one ACME CA.

use std::path::PathBuf;

use url::Url;

use super::known_public_cas::is_public;
use crate::acme::{ChallengeType, ExternalAccount};

/// Settings of one ACME CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerOptions {
    /// Name by which sites refer to this issuer.
    pub name: String,
    /// URL of the ACME directory.
    pub directory: Url,
    /// PEM file with a root certificate that is trusted, in addition to the system roots, for HTTPS connections to the CA.
    pub root: Option<PathBuf>,
    /// Contact address of the account.
    pub email: Option<String>,
    /// Credentials for external account binding (RFC 8555 section 7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// Profile to order, from those that the CA offers.
    pub profile: Option<String>,
    /// Preferred chain, named by the issuer common name of its topmost certificate.
    pub preferred_chain: Option<String>,
    /// Key type of new certificates.
    pub key_type: KeyType,
    /// Allowed challenge types, in order of preference; all types if empty.
    pub challenges: Vec<ChallengeType>,
    /// Directory of the CA's staging environment.
    pub staging: Option<Url>,
}

impl IssuerOptions {
    /// Creates the default settings for the CA of `directory`.
    #[must_use]
    pub fn new(name: String, directory: Url) -> Self {
        Self {
            name,
            directory,
            root: None,
            email: None,
            external_account: None,
            profile: None,
            preferred_chain: None,
            key_type: KeyType::default(),
            challenges: Vec::new(),
            staging: None,
        }
    }

    /// Whether this is a CA of one's own, which signs names that only exist in private networks.
    #[must_use]
    pub fn is_private(&self) -> bool {
        !is_public(&self.directory)
    }
}

/// Type of a certificate's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 4096 bits.
    Rsa4096,
}
