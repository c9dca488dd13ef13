//! The interface of all issuers, and the types of its requests and answers.

use std::fmt;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use url::Url;

use super::Error;
use crate::acme::{CertId, ChallengeType, ClockSkew, RenewalInfo, RevocationReason};
use crate::certs::budget::{AttemptCharges, Limits};
use crate::certs::certificate::Certificate;
use crate::certs::clock::Clock;
use crate::name::HostPattern;
use crate::pem;

/// Signer of certificates. The caller verifies each returned certificate before use.
pub trait Issuer: fmt::Debug + Send + Sync {
    /// Returns a short stable id, which is part of the storage keys of the issuer's certificates.
    fn id(&self) -> &str;

    /// Returns the name from the configuration.
    fn name(&self) -> &str {
        self.id()
    }

    /// Returns a short stable name of its account at the CA. Issuers with the same [`id`](Self::id) may have different
    /// accounts.
    fn account(&self) -> &str {
        ""
    }

    /// Whether this is a publicly trusted CA, which never signs for names that only exist in private networks.
    fn is_public(&self) -> bool {
        false
    }

    /// Returns the limits of the budgets for this issuer.
    fn limits(&self) -> Limits {
        Limits::NONE
    }

    /// Obtains a certificate with a new key. Dropping the future cancels the attempt and removes every challenge that it
    /// published. After a success the caller stores the certificate, then calls [`forget_order`](Self::forget_order).
    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>>;

    /// Tells the issuer that a certificate for `subject` is stored, from whichever issuer, or that its last certificate
    /// is unusable. Until then [`issue`](Self::issue) may return the same certificate again, so that a crash before the
    /// certificate is stored costs no second one.
    fn forget_order<'a>(&'a self, _subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// Removes the challenges for `subject` that a killed process left behind. The caller holds the issuance lock of
    /// `subject`, so that no other process needs them.
    fn remove_stale_challenges<'a>(&'a self, _subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }

    /// Returns how the CA will validate `subject`; `None` if validation needs no other machine.
    fn inspection(&self, _subject: &HostPattern) -> Option<Inspection> {
        None
    }

    /// Returns the names by which CAA records can allow the CA and the account, as far as they are known.
    fn caa_names(&self) -> BoxFuture<'_, CaaNames> {
        ready(CaaNames::default()).boxed()
    }

    /// Asks the CA whether it can be reached, and what its clock says. Returns `None` if the issuer needs no other machine.
    fn contact(&self) -> BoxFuture<'_, Option<Result<CaContact, Error>>> {
        ready(None).boxed()
    }

    /// Returns the TXT record that the operator sets once to let the account obtain certificates for `subject`; `None` if
    /// `subject` is proved by other challenges.
    fn record_to_set<'a>(
        &'a self,
        _subject: &'a HostPattern,
    ) -> BoxFuture<'a, Option<RecordToSet>> {
        ready(None).boxed()
    }

    /// Returns the staging issuer of the CA. Its certificates are not trusted, but its limits are high: it shows whether
    /// an order would succeed, at no cost for the limits of this issuer.
    fn staging(&self) -> Option<&dyn Issuer> {
        None
    }

    /// Asks when a certificate of this issuer should be renewed (RFC 9773). Returns `None` if the CA does not offer this.
    fn renewal_info<'a>(
        &'a self,
        _id: &'a CertId,
    ) -> BoxFuture<'a, Result<Option<RenewalInfo>, Error>> {
        ready(Ok(None)).boxed()
    }

    /// Revokes a certificate of this issuer.
    fn revoke<'a>(&'a self, _: Revocation<'a>) -> BoxFuture<'a, Result<(), Error>> {
        async { Err(self.no_account()) }.boxed()
    }

    /// Replaces the key of the account.
    fn roll_account_key(&self) -> BoxFuture<'_, Result<(), Error>> {
        async { Err(self.no_account()) }.boxed()
    }

    /// Creates the error for an operation that needs an account.
    fn no_account(&self) -> Error {
        Error::NoAccount {
            issuer: self.name().to_owned(),
        }
    }
}

/// Expected validation of a name by the CA.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// ACME directory of the CA.
    pub directory: Url,
    /// Whether the configuration names a root certificate for connections to the CA.
    pub has_root: bool,
    /// Challenges that may be used.
    pub challenges: Vec<ChallengeType>,
}

impl Inspection {
    /// Whether the CA connects to the name, whichever challenge is used.
    #[must_use]
    pub fn needs_connection(&self) -> bool {
        let connects = |challenge: &ChallengeType| {
            matches!(challenge, ChallengeType::Http01 | ChallengeType::TlsAlpn01)
        };
        !self.challenges.is_empty() && self.challenges.iter().all(connects)
    }
}

/// A CA that has answered.
#[derive(Clone, Debug)]
pub struct CaContact {
    /// ACME directory of the CA.
    pub directory: Url,
    /// Difference between this machine's clock and the CA's, if the CA has told its time.
    pub skew: Option<ClockSkew>,
}

/// Names of a CA and of an account in CAA records (RFC 8659 section 4.2, RFC 8657 section 3).
#[derive(Clone, Debug, Default)]
pub struct CaaNames {
    /// Names of the CA; a record may use any of them. Empty if the CA announces none.
    pub identities: Vec<String>,
    /// URL of the account, if it exists already.
    pub account: Option<String>,
}

/// TXT record that the operator sets once (draft-ietf-acme-dns-persist).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordToSet {
    /// Issuer whose account the record names.
    pub issuer: String,
    /// Name of the record, without the final dot.
    pub name: String,
    /// Text of the record; `None` until the first order, because only then the CA sends its issuer domain name.
    pub value: Option<String>,
}

/// Certificate to revoke, with reason and signer.
#[derive(Clone, Copy, Debug)]
pub struct Revocation<'a> {
    /// Certificate to revoke.
    pub certificate: &'a Certificate,
    /// Reason for the revocation.
    pub reason: RevocationReason,
    /// Key that signs the request.
    pub signer: RevocationSigner<'a>,
}

/// Key that signs a revocation request (RFC 8555 section 7.6).
#[derive(Clone, Copy)]
pub enum RevocationSigner<'a> {
    /// Key of the account that ordered the certificate.
    Account,
    /// Key of the certificate, as PEM. The PEM may also contain the chain.
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

/// Request for one certificate.
#[derive(Clone, Copy, Debug)]
pub struct IssueRequest<'a> {
    /// Name that the certificate is for.
    pub subject: &'a HostPattern,
    /// Budget of the attempt. Charge each order before placing it, and report each failed authorization.
    pub charges: &'a AttemptCharges,
    /// Clock of the caller.
    pub clock: Clock,
    /// Certificate of this issuer that the new one replaces. Only the account that ordered it may announce the replacement
    /// to the CA (RFC 9773 section 5).
    pub replaces: Option<&'a Predecessor>,
}

/// Certificate to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Identifier at the CA (RFC 9773 section 4.1).
    pub id: CertId,
    /// URL of the account that ordered it; `None` if another program did.
    pub account: Option<String>,
    /// Whether the CA has announced a renewal window for it, and thus supports replacements.
    pub has_window: bool,
}

/// Certificate chain, leaf first, and private key in one PEM text. `Debug` shows neither.
pub struct Pem {
    text: String,
    account: Option<String>,
    ca_time: Option<SystemTime>,
}

impl Pem {
    /// Joins a chain and its private key.
    #[must_use]
    pub fn new(chain: &str, key: &str) -> Self {
        let newline = if chain.ends_with('\n') { "" } else { "\n" };
        Self {
            text: format!("{chain}{newline}{key}"),
            account: None,
            ca_time: None,
        }
    }

    /// Replaces the chain, and writes the key in the usual form.
    pub(crate) fn with_chain(self, chain: &str) -> Result<Self, pem::Error> {
        let key = pem::private_key(self.text.as_bytes())?;
        Ok(Self {
            account: self.account,
            ca_time: self.ca_time,
            ..Self::new(chain, &pem::write_private_key(&key))
        })
    }

    /// Sets the URL of the account that ordered the certificate.
    #[must_use]
    pub fn ordered_by(self, account: &str) -> Self {
        let account = Some(account.to_owned());
        Self { account, ..self }
    }

    /// Returns the URL of the account that ordered the certificate, if any.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Sets the time of the CA's clock at the download.
    #[must_use]
    pub(crate) fn downloaded_at(self, ca_time: Option<SystemTime>) -> Self {
        Self { ca_time, ..self }
    }

    /// Returns the time of the CA's clock at the download, if it is known. This machine's clock may be wrong.
    pub(crate) fn ca_time(&self) -> Option<SystemTime> {
        self.ca_time
    }

    /// Returns the PEM text.
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
