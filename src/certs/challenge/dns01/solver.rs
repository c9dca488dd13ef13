//! Publishes a challenge in DNS, and removes its record even if the caller stops waiting.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedMutexGuard, oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::error::Dns01Error;
use super::journaled_provider::JournaledProvider;
use super::propagation::Propagation;
use super::provider::{DnsProvider, TxtRecord};
use super::record_journal::DnsJournal;
use super::record_locks::RecordLocks;
use crate::acme::{ChallengeType, Identifier, KeyAuthorization, Presented, Solver, SolverError};
use crate::name::HostPattern;
use crate::storage::Storage;
use crate::tasks::{Shutdown, Tasks};

/// Time limit for setting or removing one record.
const CHANGE_LIMIT: Duration = Duration::from_secs(120);

/// Solves dns-01 challenges with records that a provider sets.
#[derive(Clone)]
pub struct Dns01Solver {
    provider: Arc<dyn DnsProvider>,
    propagation: Arc<Propagation>,
    tasks: Tasks,
    journal: Option<DnsJournal>,
    locks: RecordLocks,
}

impl Dns01Solver {
    /// Creates a solver. Each record is held by one of `tasks`, which need time at shutdown to remove their records.
    #[must_use]
    pub fn new(provider: Arc<dyn DnsProvider>, propagation: Propagation, tasks: Tasks) -> Self {
        Self {
            provider,
            propagation: Arc::new(propagation),
            tasks,
            journal: None,
            locks: RecordLocks::default(),
        }
    }

    /// Shares `locks` with other solvers that may set records of the same names.
    #[must_use]
    pub fn with_locks(self, locks: RecordLocks) -> Self {
        Self { locks, ..self }
    }

    /// Adds a journal in `storage`, so that the next process can remove the records of this one if it is killed.
    #[must_use]
    pub fn with_journal(self, storage: Arc<dyn Storage>) -> Self {
        Self {
            journal: Some(DnsJournal::new(storage)),
            ..self
        }
    }

    /// Returns a solver for the orders of one certificate, whose journal entries belong to that certificate.
    #[must_use]
    pub fn for_certificate(&self, subject: &HostPattern) -> Self {
        let provider = match &self.journal {
            Some(journal) => self.journaled(journal, subject),
            None => Arc::clone(&self.provider),
        };
        Self {
            provider,
            ..self.clone()
        }
    }

    /// Removes the records that a killed process left in DNS for a certificate. The caller holds the issuance lock of
    /// `subject`, so that no other process needs these records.
    pub async fn remove_stale_challenges(&self, subject: &HostPattern) {
        let Some(journal) = &self.journal else { return };
        let leftovers = match journal.leftovers(subject).await {
            Ok(leftovers) => leftovers,
            Err(error) => {
                warn!(names = %subject, %error, "leftover TXT records cannot be listed");
                return;
            }
        };
        let provider = self.journaled(journal, subject);
        for record in leftovers {
            match remove(&*provider, &record).await {
                Ok(()) => info!(name = %record.name, "leftover TXT record removed"),
                Err(error) => {
                    warn!(name = %record.name, %error, "leftover TXT record could not be removed");
                }
            }
        }
    }

    fn journaled(&self, journal: &DnsJournal, subject: &HostPattern) -> Arc<dyn DnsProvider> {
        Arc::new(JournaledProvider {
            provider: Arc::clone(&self.provider),
            journal: journal.clone(),
            certificate: subject.clone(),
        })
    }

    /// Returns the name of the record for an identifier, at the end of its CNAME chain.
    async fn owner(&self, name: &str) -> Result<String, Dns01Error> {
        let name = name.strip_prefix("*.").unwrap_or(name);
        self.propagation
            .owner(&format!("_acme-challenge.{name}"))
            .await
    }

    async fn check(&self, name: &str) -> Result<(), Dns01Error> {
        let owner = self.owner(name).await?;
        self.propagation.check(&owner).await?;
        self.provider.check(&owner).await
    }

    async fn publish(&self, name: &str, value: String) -> Result<Presented, Dns01Error> {
        let name = self.owner(name).await?;
        // The wildcard and its base name have the same record.
        let lock = if self.provider.may_replace_values() {
            Some(self.locks.lock(&name).await)
        } else {
            None
        };
        let record = TxtRecord { name, value };
        let (sender, outcome) = oneshot::channel();
        let (release, released) = oneshot::channel::<()>();
        let holder = RecordHolder {
            provider: Arc::clone(&self.provider),
            record: record.clone(),
            shutdown: self.tasks.shutdown(),
            _lock: lock,
        };
        self.tasks.spawn(holder.run(sender, released));
        outcome.await.unwrap_or(Err(Dns01Error::Stopping))?;
        self.propagation.wait(&record).await?;
        let (_, seen) = watch::channel(false);
        Ok(Presented::new(seen, move || drop(release)))
    }
}

/// Sets one record, holds it and removes it. Runs in a task of its own, so that neither change is cancelled halfway and
/// the removal never overtakes the addition.
struct RecordHolder {
    provider: Arc<dyn DnsProvider>,
    record: TxtRecord,
    shutdown: Shutdown,
    /// Held until the record is removed.
    _lock: Option<OwnedMutexGuard<()>>,
}

impl RecordHolder {
    /// Holds the record until `released` gets a message, its sender is dropped, or the process stops.
    async fn run(
        self,
        sender: oneshot::Sender<Result<(), Dns01Error>>,
        released: oneshot::Receiver<()>,
    ) {
        let set = timeout(CHANGE_LIMIT, self.provider.present(&self.record)).await;
        let outcome = set.unwrap_or_else(|_| Err(slow(&self.record)));
        let is_set = outcome.is_ok();
        let is_awaited = sender.send(outcome).is_ok();
        if is_set && is_awaited {
            tokio::select! {
                _ = released => (),
                () = self.shutdown.requested() => (),
            }
        }
        match remove(&*self.provider, &self.record).await {
            Ok(()) => debug!(name = %self.record.name, "TXT record removed"),
            Err(error) if is_set => {
                warn!(name = %self.record.name, %error, "TXT record could not be removed");
            }
            // The record may never have been in DNS.
            Err(error) => {
                debug!(name = %self.record.name, %error, "TXT record could not be removed");
            }
        }
    }
}

async fn remove(provider: &dyn DnsProvider, record: &TxtRecord) -> Result<(), Dns01Error> {
    let removed = timeout(CHANGE_LIMIT, provider.cleanup(record)).await;
    removed.unwrap_or_else(|_| Err(slow(record)))
}

fn slow(record: &TxtRecord) -> Dns01Error {
    Dns01Error::Slow {
        name: record.name.clone(),
        limit: CHANGE_LIMIT,
    }
}

impl fmt::Debug for Dns01Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns01Solver")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl Solver for Dns01Solver {
    fn challenge_type(&self) -> ChallengeType {
        ChallengeType::Dns01
    }

    fn prepare<'a>(&'a self, identifier: &'a Identifier) -> BoxFuture<'a, Result<(), SolverError>> {
        async move {
            let Identifier::Dns(name) = identifier else {
                return Err(SolverError::new(Dns01Error::Address));
            };
            self.check(name).await.map_err(SolverError::new)
        }
        .boxed()
    }

    fn present<'a>(
        &'a self,
        identifier: &'a Identifier,
        _: &'a str,
        key_authorization: &'a KeyAuthorization,
    ) -> BoxFuture<'a, Result<Presented, SolverError>> {
        async move {
            let Identifier::Dns(name) = identifier else {
                return Err(SolverError::new(Dns01Error::Address));
            };
            let presented = self.publish(name, key_authorization.dns01_value()).await;
            presented.map_err(SolverError::new)
        }
        .boxed()
    }
}
