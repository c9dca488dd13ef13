//! What every issuer promises.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::Error;
use crate::acme::{CertId, RenewalInfo};
use crate::name::HostPattern;

/// Signs certificates. What it returns is verified by the caller before use.
pub trait Issuer: fmt::Debug + Send + Sync {
    /// A short stable name, which is part of the storage keys of what the issuer signed.
    fn id(&self) -> &str;

    /// Gets a new certificate with a fresh key. Dropping the future abandons the attempt and takes
    /// down every challenge that it published.
    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>>;

    /// When a certificate that it signed is to be renewed; none where the issuer does not say.
    fn renewal_info<'a>(
        &'a self,
        _id: &'a CertId,
    ) -> BoxFuture<'a, Result<Option<RenewalInfo>, Error>> {
        ready(Ok(None)).boxed()
    }
}

/// What an issuer is asked for.
#[derive(Clone, Copy, Debug)]
pub struct IssueRequest<'a> {
    /// The name that the certificate is for.
    pub subject: &'a HostPattern,
    /// The issuer's own certificate that the new one takes the place of. Only the account that
    /// ordered that one may tell the CA so.
    pub replaces: Option<&'a Predecessor>,
}

/// A certificate that is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// The certificate.
    pub id: CertId,
    /// The URL of the account that ordered it.
    pub account: String,
}

/// Chain, leaf first, and private key in one PEM text. Its `Debug` shows neither.
pub struct Pem {
    text: String,
    account: Option<String>,
}

impl Pem {
    /// Joins a chain and its key.
    #[must_use]
    pub fn new(chain: &str, key: &str) -> Self {
        let newline = if chain.ends_with('\n') { "" } else { "\n" };
        Self {
            text: format!("{chain}{newline}{key}"),
            account: None,
        }
    }

    /// The same, ordered by the account with this URL.
    #[must_use]
    pub fn ordered_by(self, account: &str) -> Self {
        let account = Some(account.to_owned());
        Self { account, ..self }
    }

    /// The URL of the account that ordered it, where there is one.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem(..)")
    }
}
