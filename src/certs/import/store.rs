//! The way of a found certificate into storage.

use std::time::SystemTime;

use super::candidate::Candidate;
use super::error::Error;
use crate::certs::records::{Records, Stored};
use crate::name::HostPattern;

/// What became of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedName {
    /// It is served from now on and renewed at its own time.
    Stored {
        /// The name.
        subject: HostPattern,
        /// Whose record it is.
        issuer: String,
    },
    /// What is stored already is valid at least as long, and stays.
    AsGood {
        /// The name.
        subject: HostPattern,
        /// The end of what is stored.
        not_after: SystemTime,
    },
}

/// Stores a certificate for every name that it is for, as a record of the issuer that renews the
/// name. The memory of failures ends with it, as after an order.
pub async fn store(
    records: &Records,
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

/// The end of what is stored for a name, when it can be served.
async fn stored_until(
    records: &Records,
    issuer: &str,
    subject: &HostPattern,
) -> Result<Option<SystemTime>, Error> {
    let Stored::Found(stored) = records.load_certificate(issuer, subject).await? else {
        return Ok(None);
    };
    let is_usable = stored.verify_for(subject, SystemTime::now()).is_ok();
    Ok(is_usable.then(|| stored.not_after()))
}
