//! Stored certificates of issuers that are no longer configured.

use std::sync::Arc;

use futures_util::StreamExt;

use crate::certs::certificate::Certificate;
use crate::certs::issuer::{InternalCa, Issuer};
use crate::certs::store::{CertificateStore, Stored};
use crate::name::HostPattern;
use crate::storage::{self, Key};

/// Returns the stored certificate for `subject` that expires last, among those that are usable and of issuers that are not
/// in `issuers`. Staging CAs and the internal CA are left out.
pub(crate) async fn find(
    records: &CertificateStore,
    issuers: &[Arc<dyn Issuer>],
    subject: &HostPattern,
    is_usable: impl Fn(&Certificate) -> bool + Send,
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
                && is_usable(&found)
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
