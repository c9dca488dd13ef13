//! Revocation of stored certificates, and new keys for ACME accounts.

use std::sync::Arc;

use tracing::warn;

use super::cert_manager::CertManager;
use super::state::Outcome;
use crate::acme::{ProblemKind, RevocationReason};
use crate::certs::certificate::Certificate;
use crate::certs::issuer::{Error, Issuer, Revocation, RevocationSigner};
use crate::certs::status::{CertificateRefusal, Inventory};
use crate::certs::store::{CertificateStore, Stored};
use crate::name::HostPattern;
use crate::storage;

/// A reason why a certificate was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// No certificate is stored for the name.
    #[error("no certificate is stored for {0}")]
    NotStored(HostPattern),
    /// The stored certificate cannot be read.
    #[error("the stored certificate {location} is damaged; revoke it with the CA's own tools")]
    Damaged {
        /// Its location in storage.
        location: String,
    },
    /// The certificate's issuer is not configured.
    #[error(
        "`{0}`, which signed it, is not a configured issuer; give its directory with --config or --acme-directory"
    )]
    UnknownIssuer(String),
    /// The CA refused or failed.
    #[error("{0}")]
    Issuer(Box<Error>),
    /// The records could not be read or written.
    #[error(transparent)]
    Records(#[from] CertificateRefusal),
}

impl From<Error> for RevocationError {
    fn from(error: Error) -> Self {
        Self::Issuer(Box::new(error))
    }
}

impl From<storage::Error> for RevocationError {
    fn from(error: storage::Error) -> Self {
        Self::Records(error.into())
    }
}

/// Revokes certificates at the issuers that signed them.
#[derive(Clone, Debug)]
pub struct Revoker {
    records: CertificateStore,
    issuers: Vec<Arc<dyn Issuer>>,
}

impl Revoker {
    /// A revoker for certificates of these issuers.
    #[must_use]
    pub fn new(records: CertificateStore, issuers: Vec<Arc<dyn Issuer>>) -> Self {
        Self { records, issuers }
    }

    /// Returns the issuers that are asked.
    #[must_use]
    pub fn issuers(&self) -> &[Arc<dyn Issuer>] {
        &self.issuers
    }

    /// Revokes the stored certificate of a name, removes it from storage and returns it.
    pub async fn revoke(
        &self,
        subject: &HostPattern,
        reason: RevocationReason,
    ) -> Result<Arc<Certificate>, RevocationError> {
        // No other process may replace it in the meantime.
        let _lock = self.records.lock_issuance(subject).await?;
        let inventory = Inventory::open(self.records.clone()).await?;
        let kept = inventory.certificate(subject).await?;
        let kept = kept.ok_or_else(|| RevocationError::NotStored(subject.clone()))?;
        let certificate = match kept.stored {
            Stored::Found(certificate) => certificate,
            Stored::Missing | Stored::Damaged(_) => {
                let location = kept.location;
                return Err(RevocationError::Damaged { location });
            }
        };
        let issuer = self.issuers.iter().find(|known| known.id() == kept.issuer);
        let issuer = issuer.ok_or_else(|| RevocationError::UnknownIssuer(kept.issuer.clone()))?;
        let pem = self.records.load_pem(&kept.issuer, subject).await?;
        revoke_at(issuer.as_ref(), &certificate, &pem, reason).await?;
        self.records
            .remove_certificate(&kept.issuer, subject)
            .await?;
        Ok(certificate)
    }
}

impl CertManager {
    /// Revokes the certificate of a name and stops serving it. Then obtains a new certificate with a new key, and returns
    /// its outcome, unless the reason is that the name is no longer used.
    pub async fn revoke(
        &self,
        subject: &HostPattern,
        reason: RevocationReason,
    ) -> Result<Option<Outcome>, RevocationError> {
        let revoked = self.revoker().revoke(subject, reason).await?;
        let cache = self.state.cache();
        let served = cache.get(subject);
        if served.is_some_and(|served| served.serial() == revoked.serial()) {
            cache.remove(subject);
        }
        Ok(match reason {
            RevocationReason::CessationOfOperation => None,
            _ => Some(self.renew_now(subject).await),
        })
    }

    /// Returns a revoker that knows the issuers of all sites.
    #[must_use]
    pub fn revoker(&self) -> Revoker {
        let ruleset = self.state.ruleset();
        let mut known = ruleset.issuers.public.clone();
        known.push(Arc::clone(&ruleset.issuers.internal));
        for (_, policy) in ruleset.policies.iter() {
            let own = policy.own_issuer();
            let own = own.filter(|own| known.iter().all(|other| other.id() != own.id()));
            known.extend(own.cloned());
        }
        Revoker::new(self.records().clone(), known)
    }
}

/// Signs the request with the account key, and with the certificate's key if the CA does not accept that (RFC 8555 section
/// 7.6). For a compromised key the order is reversed: CAs block a key when the request is signed with it.
async fn revoke_at(
    issuer: &dyn Issuer,
    certificate: &Certificate,
    pem: &[u8],
    reason: RevocationReason,
) -> Result<(), Error> {
    let ask = |signer| {
        issuer.revoke(Revocation {
            certificate,
            reason,
            signer,
        })
    };
    let (account, key) = (
        RevocationSigner::Account,
        RevocationSigner::CertificateKey(pem),
    );
    let (first, second) = match reason {
        RevocationReason::KeyCompromise => (key, account),
        _ => (account, key),
    };
    match ask(first).await {
        Err(error) if may_accept_other(&error) => {
            warn!(issuer = issuer.name(), %error, "revocation refused; trying again with the other key (account or certificate)");
            ask(second).await
        }
        outcome => outcome,
    }
}

/// `true` if the CA may accept the other signer after this refusal.
fn may_accept_other(error: &Error) -> bool {
    use ProblemKind::{AccountDoesNotExist, Unauthorized};
    let Error::Acme(error) = error else {
        return false;
    };
    let problem = error.problem();
    problem.is_some_and(|problem| matches!(problem.kind, AccountDoesNotExist | Unauthorized))
}
