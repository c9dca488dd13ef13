//! What every issuer promises.

use std::fmt;

use futures_util::future::BoxFuture;

use super::Error;
use crate::name::HostPattern;

/// Signs certificates. What it returns is verified by the caller before use.
pub trait Issuer: fmt::Debug + Send + Sync {
    /// A short stable name, which is part of the storage keys of what the issuer signed.
    fn id(&self) -> &str;

    /// Gets a new certificate with a fresh key. Dropping the future abandons the attempt and takes
    /// down every challenge that it published.
    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>>;

    /// Is told that what was issued for `subject` is stored, or is of no use. Until then the issuer may
    /// give the same certificate again, so that one that was lost with the process is not signed twice.
    fn settled<'a>(&'a self, _subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// What an issuer is asked for.
#[derive(Clone, Copy, Debug)]
pub struct IssueRequest<'a> {
    /// The name that the certificate is for.
    pub subject: &'a HostPattern,
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
