//! What every issuer promises.

use std::fmt;

use futures_util::future::BoxFuture;

use super::Error;
use crate::certs::{Limits, Spending};
use crate::name::HostPattern;

/// Signs certificates. What it returns is verified by the caller before use.
pub trait Issuer: fmt::Debug + Send + Sync {
    /// A short stable name, which is part of the storage keys of what the issuer signed.
    fn id(&self) -> &str;

    /// Whether it is one of the CAs that sign for everybody, and so never for a name that not
    /// everybody can look up.
    fn is_public(&self) -> bool {
        false
    }

    /// How much may be asked of it.
    fn limits(&self) -> Limits {
        Limits::NONE
    }

    /// Gets a new certificate with a fresh key. Dropping the future abandons the attempt and takes
    /// down every challenge that it published.
    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>>;
}

/// What an issuer is asked for.
#[derive(Clone, Copy, Debug)]
pub struct IssueRequest<'a> {
    /// The name that the certificate is for.
    pub subject: &'a HostPattern,
    /// What pays for the orders: asked before each, and told of each authorization that fails.
    pub spending: &'a Spending,
}

/// Chain, leaf first, and private key in one PEM text. Its `Debug` shows neither.
pub struct Pem(String);

impl Pem {
    /// Joins a chain and its key.
    #[must_use]
    pub fn new(chain: &str, key: &str) -> Self {
        let newline = if chain.ends_with('\n') { "" } else { "\n" };
        Self(format!("{chain}{newline}{key}"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem(..)")
    }
}
