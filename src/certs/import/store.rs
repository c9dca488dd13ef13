//! Storage of imported certificates.

use std::time::SystemTime;

use super::candidate::Candidate;
use super::error::Error;
use crate::certs::store::{CertificateStore, Stored};
use crate::name::HostPattern;

/// Result of the import for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedName {
    /// The certificate was stored and will be renewed when due.
    Stored {
        /// Name of the certificate.
        subject: HostPattern,
        /// Issuer that will renew the certificate.
        issuer: String,
    },
    /// The stored certificate is valid for at least as long and was kept.
    AsGood {
        /// Name of the certificate.
        subject: HostPattern,
        /// End of the validity of the stored certificate.
        not_after: SystemTime,
    },
}

/// Stores a certificate for each of its names, as a record of the issuer that renews the name. Clears the record of failed
/// attempts, as after an order.
pub async fn store(
    records: &CertificateStore,
    found: &Candidate,
    issuer_of: impl Fn(&HostPattern) -> String,
) -> Result<Vec<ImportedName>, Error> {
    let mut imported = Vec::with_capacity(found.names().len());
    for subject in found.names() {
        let issuer = issuer_of(subject);
        let _lock = records.lock_issuance(subject).await?;
        if let Some(not_after) = stored_until(records, &issuer, subject).await?
            && not_after >= found.certificate().not_after()
        {
            let subject = subject.clone();
            imported.push(ImportedName::AsGood { subject, not_after });
            continue;
        }
        let pem = found.pem().as_str();
        records.store_certificate(&issuer, subject, pem).await?;
        records.clear_attempts(subject).await?;
        let subject = subject.clone();
        imported.push(ImportedName::Stored { subject, issuer });
    }
    Ok(imported)
}

/// Returns the end of the validity of the stored certificate of a name, if it can be served.
async fn stored_until(
    records: &CertificateStore,
    issuer: &str,
    subject: &HostPattern,
) -> Result<Option<SystemTime>, Error> {
    let Stored::Found(stored) = records.load_certificate(issuer, subject).await? else {
        return Ok(None);
    };
    let is_usable = stored.verify_for(subject, SystemTime::now()).is_ok();
    Ok(is_usable.then(|| stored.not_after()))
}
