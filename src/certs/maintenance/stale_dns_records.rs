//! Removal of TXT records that a killed process left in DNS. Without it they would stay until the next order for the name,
//! which may be months away. The records themselves are removed by the issuers.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use crate::backoff::spread;
use crate::certs::challenge::DnsJournal;
use crate::certs::clock::Clock;
use crate::certs::manager::CertManager;
use crate::certs::store::CertificateStore;
use crate::name::HostPattern;
use crate::storage;

/// The time between two checks.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Limits how long the removal of a record is retried.
const RETRY_FOR: Duration = Duration::from_secs(14 * 24 * 3600);

/// Looks for stale records at the start and once a day.
#[derive(Debug)]
pub(super) struct StaleDnsRecords {
    manager: CertManager,
    records: CertificateStore,
    journal: DnsJournal,
    clock: Clock,
}

impl StaleDnsRecords {
    pub(super) fn new(manager: CertManager) -> Self {
        let records = manager.records().clone();
        Self {
            journal: DnsJournal::new(Arc::clone(records.storage())),
            records,
            clock: manager.clock(),
            manager,
        }
    }

    /// Runs until it is dropped. The next process removes what is left then.
    pub(super) async fn run(&self) {
        loop {
            if let Err(error) = self.check().await {
                warn!(%error, "stale DNS records cannot be listed");
            }
            tokio::time::sleep(spread(INTERVAL, 0.05)).await;
        }
    }

    async fn check(&self) -> Result<(), storage::Error> {
        for subject in self.journal.certificates().await? {
            self.remove(&subject).await?;
        }
        Ok(())
    }

    async fn remove(&self, subject: &HostPattern) -> Result<(), storage::Error> {
        // An order that is under way needs its record, and removes it afterwards.
        let _lock = self.records.lock_issuance(subject).await?;
        for issuer in &self.manager.issuers().public {
            issuer.remove_stale_challenges(subject).await;
        }
        let limit = self.clock.now() - RETRY_FOR;
        for record in self.journal.expire(subject, limit).await? {
            error!(
                names = %subject, name = record.name, value = record.value,
                "a TXT record could not be removed from DNS for two weeks: remove it by hand"
            );
        }
        Ok(())
    }
}
