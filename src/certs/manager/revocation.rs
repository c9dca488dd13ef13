//! Taking back what is stored, and giving accounts new keys: what an operator wants of the issuers.

use std::sync::Arc;

use tracing::warn;

use crate::acme::{ProblemKind, RevocationReason};
use crate::certs::certificate::Certificate;
use crate::certs::issuer::{Error, Issuer, Revocation, RevocationSigner};
use crate::certs::records::{Records, Stored};
use crate::certs::status::{Inventory, Refusal};
use crate::name::HostPattern;
use crate::storage;

/// Why a certificate was not taken back.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// There is nothing to take back.
    #[error("no certificate is stored for {0}")]
    NotStored(HostPattern),
    /// What is stored cannot be read.
    #[error("the stored certificate {location} is damaged; revoke it with the CA's own means")]
    Damaged {
        /// Where it lies.
        location: String,
    },
    /// The issuer of what is stored is not configured.
    #[error(
        "`{0}`, which signed it, is none of the configured issuers; name its directory with --config or --acme-directory"
    )]
    UnknownIssuer(String),
    /// No account is configured.
    #[error("no issuer has an account")]
    NoAccount,
    /// The CA did not do it.
    #[error("{0}")]
    Issuer(Box<Error>),
    /// The records could not be read or written.
    #[error(transparent)]
    Records(#[from] Refusal),
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

/// Asks issuers to take back what they signed.
#[derive(Clone, Debug)]
pub struct Revoker {
    records: Records,
    issuers: Vec<Arc<dyn Issuer>>,
}

impl Revoker {
    /// A revoker for what these issuers have signed.
    #[must_use]
    pub fn new(records: Records, issuers: Vec<Arc<dyn Issuer>>) -> Self {
        Self { records, issuers }
    }

    /// Has the stored certificate of a name taken back, and removes it from storage. Returns it.
    pub async fn revoke(
        &self,
        subject: &HostPattern,
        reason: RevocationReason,
    ) -> Result<Arc<Certificate>, RevocationError> {
        // Nobody puts another one into its place meanwhile.
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
        take_back(issuer.as_ref(), &certificate, &pem, reason).await?;
        self.records
            .remove_certificate(&kept.issuer, subject)
            .await?;
        Ok(certificate)
    }

    /// Gives the account at each CA a new key. Returns the issuers that have one.
    pub async fn roll_account_keys(&self) -> Result<Vec<String>, RevocationError> {
        let mut rolled = Vec::new();
        for issuer in &self.issuers {
            match issuer.roll_account_key().await {
                Ok(()) => rolled.push(issuer.name().to_owned()),
                Err(Error::NoAccount { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if rolled.is_empty() {
            Err(RevocationError::NoAccount)
        } else {
            Ok(rolled)
        }
    }
}

/// Who has the key proves most: a CA blocks a key whose holder says that it is lost. Without that
/// the account asks, and where the CA does not know it, the key again.
async fn take_back(
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
        Err(error) if is_for_another(&error) => {
            warn!(issuer = issuer.name(), %error, "the CA is asked again with the other key");
            ask(second).await
        }
        outcome => outcome,
    }
}

/// Whether another signer may be heard where this one was not.
fn is_for_another(error: &Error) -> bool {
    let Error::Acme(error) = error else {
        return false;
    };
    let is_refused = |kind: &ProblemKind| {
        matches!(
            kind,
            ProblemKind::AccountDoesNotExist | ProblemKind::Unauthorized
        )
    };
    error
        .problem()
        .is_some_and(|problem| is_refused(&problem.kind))
}
