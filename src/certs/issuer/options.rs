//! What the configuration says of a CA.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::acme::{ChallengeType, ExternalAccount};

/// A CA that issues for the sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerOptions {
    /// What sites call it.
    pub name: String,
    /// The ACME directory.
    pub directory: Url,
    /// PEM file with the root that the directory's own HTTPS is verified against, beside the
    /// system's roots.
    pub root: Option<PathBuf>,
    /// The account's contact address.
    pub email: Option<String>,
    /// What binds the account to one that the operator has with the CA already.
    pub external_account: Option<ExternalAccount>,
    /// The profile that is asked for, of those that the CA offers.
    pub profile: Option<String>,
    /// The common name of the issuer of the topmost certificate of the chain that is preferred.
    pub preferred_chain: Option<String>,
    /// The kind of the certificates' keys.
    pub key_type: KeyType,
    /// How names may be proved, in order; all ways when there is none.
    pub challenges: Vec<ChallengeType>,
    /// The directory of the CA's staging twin.
    pub staging: Option<Url>,
}

impl IssuerOptions {
    /// The CA of `directory`, with nothing special about it.
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
}

/// The kind of a certificate's key.
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

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa4096 => "rsa4096",
        })
    }
}
