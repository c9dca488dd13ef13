//! The stored records and their keys.

use std::sync::Arc;

use super::attempts::Attempts;
use crate::certs::certificate::{Certificate, CertificateError};
use crate::certs::issuer::Issuer;
use crate::certs::renewal::RenewalPlan;
use crate::name::HostPattern;
use crate::storage::{self, Key, Listing, PageRequest, Storage};

/// The records of certificates and of attempts to get them.
#[derive(Clone, Debug)]
pub struct CertificateStore {
    storage: Arc<dyn Storage>,
}

/// The outcome of loading a certificate from storage.
#[derive(Debug)]
pub enum Stored {
    /// It can be read. Its validity is not checked.
    Found(Arc<Certificate>),
    /// There is none.
    Missing,
    /// There is one that cannot be read as a certificate with its key, or not by the user of this process.
    Damaged(CertificateError),
}

impl CertificateStore {
    /// The records in `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    /// The storage that holds the records.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Loads the certificate that `issuer` signed for `subject`.
    pub async fn load_certificate(
        &self,
        issuer: &str,
        subject: &HostPattern,
    ) -> Result<Stored, storage::Error> {
        let pem = match self.storage.load(&certificate_key(issuer, subject)).await {
            Ok(Some(pem)) => pem,
            Ok(None) => return Ok(Stored::Missing),
            Err(error) if error.is_forbidden() => {
                return Ok(Stored::Damaged(CertificateError::Forbidden));
            }
            Err(error) => return Err(error),
        };
        Ok(match Certificate::from_pem(&pem) {
            Ok(certificate) => Stored::Found(Arc::new(certificate)),
            Err(error) => Stored::Damaged(error),
        })
    }

    /// Stores chain and key as one record, so that no reader ever sees a chain with another certificate's key. The record is
    /// ordinary PEM, leaf first and key last: HAProxy reads it as `crt`, nginx as both `ssl_certificate` and
    /// `ssl_certificate_key`.
    pub async fn store_certificate(
        &self,
        issuer: &str,
        subject: &HostPattern,
        pem: &str,
    ) -> Result<(), storage::Error> {
        self.storage
            .store(&certificate_key(issuer, subject), pem.as_bytes())
            .await
    }

    /// Loads chain and key of a certificate as PEM; empty if there is none.
    pub(crate) async fn load_pem(
        &self,
        issuer: &str,
        subject: &HostPattern,
    ) -> Result<Vec<u8>, storage::Error> {
        let pem = self.storage.load(&certificate_key(issuer, subject)).await?;
        Ok(pem.unwrap_or_default())
    }

    /// Removes the certificate that `issuer` signed for `subject`, and its renewal plan.
    pub async fn remove_certificate(
        &self,
        issuer: &str,
        subject: &HostPattern,
    ) -> Result<(), storage::Error> {
        self.storage.delete(&plan_key(issuer, subject)).await?;
        self.storage.delete(&certificate_key(issuer, subject)).await
    }

    /// Lists the issuers of stored certificates in batches. The last segment of each key is the issuer's id.
    #[must_use]
    pub fn issuers(&self) -> Listing {
        self.storage.list(&Key::new(&[CERTIFICATES]))
    }

    /// Lists the names with a stored certificate of `issuer` in batches. The last segment of each key stands for the name.
    #[must_use]
    pub fn names(&self, issuer: &str) -> Listing {
        self.storage.list(&Key::new(&[CERTIFICATES, issuer]))
    }

    /// Lists up to `limit` names with failed attempts.
    pub(crate) async fn names_with_attempts(
        &self,
        limit: usize,
    ) -> Result<Vec<HostPattern>, storage::Error> {
        let request = PageRequest {
            folder: &Key::new(&[ATTEMPTS]),
            ending: ATTEMPTS_ENDING,
            after: None,
            limit,
        };
        let segments = self.storage.page(request).await?;
        let names = segments.iter().filter_map(|segment| Key::decode(segment));
        Ok(names
            .filter_map(|name| HostPattern::parse(&name).ok())
            .collect())
    }

    /// Returns the location of the certificate's record, as shown to people.
    #[must_use]
    pub fn certificate_location(&self, issuer: &str, subject: &HostPattern) -> String {
        self.storage.location(&certificate_key(issuer, subject))
    }

    /// Returns the subject of a certificate by the last segment of its key. A name that is too long for a file name is read
    /// from the certificate.
    pub(crate) async fn subject_in(
        &self,
        issuer: &str,
        segment: &str,
    ) -> Result<Option<HostPattern>, storage::Error> {
        if let Some(text) = Key::decode(segment) {
            return Ok(HostPattern::parse(&text).ok());
        }
        let folder = Key::new(&[CERTIFICATES, issuer]).below(segment);
        let pem = self.storage.load(&folder.join(CERTIFICATE)).await?;
        let certificate = pem.and_then(|pem| Certificate::from_pem(&pem).ok());
        let is_it = |name: &&HostPattern| Key::new(&[&name.to_string()]).as_str() == segment;
        Ok(certificate.and_then(|it| it.names().iter().find(is_it).cloned()))
    }

    /// Loads the renewal plan of the certificate that `issuer` signed for `subject`.
    pub async fn load_plan(
        &self,
        issuer: &str,
        subject: &HostPattern,
    ) -> Result<Option<RenewalPlan>, storage::Error> {
        let record = self.storage.load(&plan_key(issuer, subject)).await?;
        Ok(record.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Stores the renewal plan of a certificate.
    pub async fn store_plan(
        &self,
        issuer: &str,
        subject: &HostPattern,
        plan: &RenewalPlan,
    ) -> Result<(), storage::Error> {
        let json = serde_json::to_vec_pretty(plan).unwrap_or_default();
        self.storage.store(&plan_key(issuer, subject), &json).await
    }

    /// Sets the renewal time of a certificate by its stored plan.
    pub(crate) async fn apply_plan(
        &self,
        issuer: &str,
        subject: &HostPattern,
        certificate: &Certificate,
    ) {
        let plan = self.load_plan(issuer, subject).await.ok().flatten();
        if let Some(plan) = plan.filter(|plan| plan.is_for(certificate)) {
            certificate.renew_at(plan.renew_at());
        }
    }

    /// Returns the issuer that has signed the certificate, by its serial number; the first issuer if none is found.
    pub(crate) async fn signer<'a>(
        &self,
        issuers: &'a [Arc<dyn Issuer>],
        subject: &HostPattern,
        certificate: &Certificate,
    ) -> Option<&'a Arc<dyn Issuer>> {
        if let [only] = issuers {
            return Some(only);
        }
        for issuer in issuers {
            let stored = self.load_certificate(issuer.id(), subject).await;
            if let Ok(Stored::Found(stored)) = stored
                && stored.serial() == certificate.serial()
            {
                return Some(issuer);
            }
        }
        issuers.first()
    }

    /// Loads the failed attempts for `subject`; `None` after a success.
    pub async fn load_attempts(
        &self,
        subject: &HostPattern,
    ) -> Result<Option<Attempts>, storage::Error> {
        let record = self.storage.load(&attempts_key(subject)).await?;
        Ok(record.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Stores the failed attempts for `subject`.
    pub async fn store_attempts(
        &self,
        subject: &HostPattern,
        attempts: &Attempts,
    ) -> Result<(), storage::Error> {
        let json = serde_json::to_vec_pretty(attempts).unwrap_or_default();
        self.storage.store(&attempts_key(subject), &json).await
    }

    /// Removes the failed attempts for `subject`.
    pub async fn clear_attempts(&self, subject: &HostPattern) -> Result<(), storage::Error> {
        self.storage.delete(&attempts_key(subject)).await
    }

    /// Writes, reads and deletes a probe record, to prove that a certificate could be stored.
    pub async fn prove_writable(&self) -> Result<(), storage::Error> {
        let key = Key::new(&["probe", &format!("{:016x}", fastrand::u64(..))]);
        let mark = key.as_str().as_bytes();
        self.storage.store(&key, mark).await?;
        let read = self.storage.load(&key).await?;
        self.storage.delete(&key).await?;
        if read.as_deref() == Some(mark) {
            Ok(())
        } else {
            Err(storage::Error::Lossy {
                location: self.storage.location(&key),
            })
        }
    }
}

/// The folder of the certificates. Its keys are `certificates/ISSUER/NAME/certificate.pem`.
pub(crate) const CERTIFICATES: &str = "certificates";
const CERTIFICATE: &str = "certificate.pem";
/// The folder of the failed attempts. Its keys are `attempts/NAME.json`.
pub(crate) const ATTEMPTS: &str = "attempts";
pub(crate) const ATTEMPTS_ENDING: &str = ".json";

fn certificate_key(issuer: &str, subject: &HostPattern) -> Key {
    folder(issuer, subject).join(CERTIFICATE)
}

fn plan_key(issuer: &str, subject: &HostPattern) -> Key {
    folder(issuer, subject).join("renewal.json")
}

fn folder(issuer: &str, subject: &HostPattern) -> Key {
    Key::new(&[CERTIFICATES, issuer, &subject.to_string()])
}

fn attempts_key(subject: &HostPattern) -> Key {
    Key::new(&[ATTEMPTS, &format!("{subject}{ATTEMPTS_ENDING}")])
}
