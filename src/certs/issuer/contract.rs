//! What every issuer promises.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use url::Url;

use super::Error;
use crate::acme::{CertId, ChallengeType, RenewalInfo, RevocationReason};
use crate::certs::budget::{Limits, Spending};
use crate::certs::certificate::Certificate;
use crate::certs::clock::Clock;
use crate::name::HostPattern;

/// Signs certificates. What it returns is verified by the caller before use.
pub trait Issuer: fmt::Debug + Send + Sync {
    /// A short stable name, which is part of the storage keys of what the issuer signed.
    fn id(&self) -> &str;

    /// What the operator calls it.
    fn name(&self) -> &str {
        self.id()
    }

    /// Which of the accounts at its CA it has, as a short stable name; issuers with one [`id`](Self::id) may have several.
    fn account(&self) -> &str {
        ""
    }

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

    /// Is told that a certificate for `subject` is stored, whoever issued it, or that what was issued is of
    /// no use. Until then the issuer may give the same one again, so that a certificate that was lost with
    /// the process is not signed twice.
    fn forget_order<'a>(&'a self, _subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// Takes down the challenges for `subject` that a process has left up which was killed. The caller holds the lock of
    /// the name's issuance, so that nobody needs them.
    fn remove_stale_challenges<'a>(&'a self, _subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }

    /// How its CA will look at `subject`; none where no other machine does.
    fn inspection(&self, _subject: &HostPattern) -> Option<Inspection> {
        None
    }

    /// By which names CAA records can allow its CA and account, as far as they are known.
    fn caa_names(&self) -> BoxFuture<'_, CaaNames> {
        ready(CaaNames::default()).boxed()
    }

    /// The TXT record by which the operator lets the issuer's account have certificates for `subject`; none where its
    /// names are proved otherwise.
    fn record_to_set<'a>(
        &'a self,
        _subject: &'a HostPattern,
    ) -> BoxFuture<'a, Option<RecordToSet>> {
        ready(None).boxed()
    }

    /// Whose certificates nobody trusts and whose limits are wide: it shows whether an order would
    /// succeed without spending one of this issuer's.
    fn staging(&self) -> Option<&dyn Issuer> {
        None
    }

    /// When a certificate that it signed is to be renewed; none where the issuer does not say.
    fn renewal_info<'a>(
        &'a self,
        _id: &'a CertId,
    ) -> BoxFuture<'a, Result<Option<RenewalInfo>, Error>> {
        ready(Ok(None)).boxed()
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
            issuer: self.name().to_owned(),
        }
    }
}

/// How a CA will look at a name.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Where the CA is.
    pub directory: Url,
    /// Whether the operator had to name the root of the CA's own HTTPS.
    pub has_root: bool,
    /// The ways to prove the name that may be used.
    pub challenges: Vec<ChallengeType>,
}

impl Inspection {
    /// Whether every way to prove the name has the CA connect to it.
    #[must_use]
    pub fn needs_connection(&self) -> bool {
        let connects = |challenge: &ChallengeType| {
            matches!(challenge, ChallengeType::Http01 | ChallengeType::TlsAlpn01)
        };
        !self.challenges.is_empty() && self.challenges.iter().all(connects)
    }
}

/// What CAA records call a CA and its account (RFC 8659 section 4.2, RFC 8657 section 3).
#[derive(Clone, Debug, Default)]
pub struct CaaNames {
    /// The CA's names, of which any will do; none where it tells none.
    pub identities: Vec<String>,
    /// The account's URL, where there is an account already.
    pub account: Option<String>,
}

/// A TXT record that the operator sets once (draft-ietf-acme-dns-persist).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordToSet {
    /// Whose account it is for.
    pub issuer: String,
    /// Where it is set, without the last dot.
    pub name: String,
    /// Its text; none before the CA has told what it calls itself, which it does with the first order.
    pub value: Option<String>,
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
    /// What pays for the orders: asked before each, and told of each authorization that fails.
    pub spending: &'a Spending,
    /// The time of day.
    pub clock: Clock,
    /// The issuer's own certificate that the new one takes the place of. Only the account that
    /// ordered that one may tell the CA so.
    pub replaces: Option<&'a Predecessor>,
}

/// A certificate that is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// The certificate.
    pub id: CertId,
    /// The URL of the account that ordered it; none when another program did.
    pub account: Option<String>,
    /// Whether its CA has named the time of its renewal, and so knows of replacements.
    pub has_window: bool,
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
