//! Sees to it that what a process has set in DNS that was killed is removed there, although its certificate may need no
//! order for months. Knows no way to remove a record: that is the issuers'.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use crate::backoff::spread;
use crate::certs::challenge::DnsJournal;
use crate::certs::clock::Clock;
use crate::certs::manager::CertManager;
use crate::certs::records::Records;
use crate::name::HostPattern;
use crate::storage;

/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(24 * 3600);

/// How long a record that cannot be removed is tried again.
const PATIENCE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Looks for records that were left, at the start and once a day.
#[derive(Debug)]
pub(super) struct StaleDnsRecords {
    manager: CertManager,
    records: Records,
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

    /// Never ends. What is not removed when it is dropped is for the next process.
    pub(super) async fn run(&self) {
        loop {
            if let Err(error) = self.look().await {
                warn!(%error, "records that were left in DNS cannot be listed");
            }
            tokio::time::sleep(spread(PAUSE, 0.05)).await;
        }
    }

    async fn look(&self) -> Result<(), storage::Error> {
        for subject in self.journal.certificates().await? {
            self.remove(&subject).await?;
        }
        Ok(())
    }

    async fn remove(&self, subject: &HostPattern) -> Result<(), storage::Error> {
        // Whoever has an order under way needs its record, and removes it.
        let _lock = self.records.lock_issuance(subject).await?;
        for issuer in &self.manager.issuers().public {
            issuer.remove_stale_challenges(subject).await;
        }
        let limit = self.clock.now() - PATIENCE;
        for record in self.journal.expire(subject, limit).await? {
            error!(
                names = %subject, name = record.name, value = record.value,
                "a TXT record stays in DNS that could not be removed for two weeks: remove it by hand"
            );
        }
        Ok(())
    }
}
