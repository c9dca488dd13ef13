//! Stored certificates of issuers that are no longer configured.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::StreamExt;

use crate::certs::certificate::Certificate;
use crate::certs::issuer::{InternalCa, Issuer};
use crate::certs::store::{CertificateStore, Stored};
use crate::name::HostPattern;
use crate::storage::{self, Key};

/// Returns the valid stored certificate for `subject` that expires last, among those of issuers that are not in `issuers`.
/// Staging CAs and the internal CA are left out.
pub(crate) async fn find(
    records: &CertificateStore,
    issuers: &[Arc<dyn Issuer>],
    subject: &HostPattern,
    now: SystemTime,
) -> Result<Option<Arc<Certificate>>, storage::Error> {
    let mut best: Option<Arc<Certificate>> = None;
    let mut others = records.issuers();
    while let Some(batch) = others.next().await {
        for id in batch?.iter().filter_map(Key::last_segment) {
            let is_configured = issuers.iter().any(|issuer| issuer.id() == id);
            if is_configured || id == InternalCa::ID || id.contains("staging") {
                continue;
            }
            if let Stored::Found(found) = records.load_certificate(&id, subject).await?
                && found.verify_for(subject, now).is_ok()
                && best
                    .as_ref()
                    .is_none_or(|best| best.not_after() < found.not_after())
            {
                best = Some(found);
            }
        }
    }
    Ok(best)
}
