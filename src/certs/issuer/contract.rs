//! What every issuer promises.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Error;
use crate::acme::RevocationReason;
use crate::certs::Certificate;
use crate::name::HostPattern;

/// Signs certificates. What it returns is verified by the caller before use.
pub trait Issuer: fmt::Debug + Send + Sync {
    /// A short stable name, which is part of the storage keys of what the issuer signed.
    fn id(&self) -> &str;

    /// Gets a new certificate with a fresh key. Dropping the future abandons the attempt and takes
    /// down every challenge that it published.
    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>>;

    /// Whose certificates nobody trusts and whose limits are wide: it shows whether an order would
    /// succeed without spending one of this issuer's.
    fn staging(&self) -> Option<&dyn Issuer> {
        None
    }

    /// Takes back a certificate that it signed.
    fn revoke<'a>(&'a self, _: Revocation<'a>) -> BoxFuture<'a, Result<(), Error>> {
        async { Err(self.no_account()) }.boxed()
    }

    /// Puts a new key in the place of the one of its account at the CA.
    fn roll_account_key(&self) -> BoxFuture<'_, Result<(), Error>> {
        async { Err(self.no_account()) }.boxed()
    }

    /// That the issuer has no account.
    fn no_account(&self) -> Error {
        Error::NoAccount {
            issuer: self.id().to_owned(),
        }
    }
}

/// A certificate to take back.
#[derive(Clone, Copy, Debug)]
pub struct Revocation<'a> {
    /// The certificate.
    pub certificate: &'a Certificate,
    /// Why.
    pub reason: RevocationReason,
    /// Who asks.
    pub signer: RevocationSigner<'a>,
}

/// Who asks to take a certificate back (RFC 8555 section 7.6).
#[derive(Clone, Copy)]
pub enum RevocationSigner<'a> {
    /// The account that ordered it.
    Account,
    /// Whoever has its key, here as PEM; a chain before it does no harm.
    CertificateKey(&'a [u8]),
}

impl fmt::Debug for RevocationSigner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "Account",
            Self::CertificateKey(_) => "CertificateKey(..)",
        })
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
