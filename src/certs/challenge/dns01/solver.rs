//! Puts a challenge up in DNS and sees to it that it comes down, whoever stops waiting.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::error::Dns01Error;
use super::journal::DnsJournal;
use super::propagation::Propagation;
use super::provider::{DnsProvider, TxtRecord};
use super::remembered::Remembered;
use crate::acme::{ChallengeType, Identifier, KeyAuthorization, Presented, Solver, SolverError};
use crate::name::HostPattern;
use crate::storage::Storage;
use crate::tasks::{Shutdown, Tasks};

/// How long setting or removing a record may take.
const CHANGE: Duration = Duration::from_secs(120);

/// Proves names by records that a provider sets.
#[derive(Clone)]
pub struct Dns01Solver {
    provider: Arc<dyn DnsProvider>,
    propagation: Arc<Propagation>,
    tasks: Tasks,
    journal: Option<DnsJournal>,
}

impl Dns01Solver {
    /// A solver whose records are kept by `tasks`, which must be given time to remove them when the process ends.
    #[must_use]
    pub fn new(provider: Arc<dyn DnsProvider>, propagation: Propagation, tasks: Tasks) -> Self {
        Self {
            provider,
            propagation: Arc::new(propagation),
            tasks,
            journal: None,
        }
    }

    /// The same with a journal in `storage` of what it sets, so that the next process can remove what this one leaves when
    /// it is killed.
    #[must_use]
    pub fn remembering_in(self, storage: Arc<dyn Storage>) -> Self {
        Self {
            journal: Some(DnsJournal::new(storage)),
            ..self
        }
    }

    /// The same for the orders of one certificate, under which its records are remembered.
    #[must_use]
    pub fn for_certificate(&self, subject: &HostPattern) -> Self {
        let provider = match &self.journal {
            Some(journal) => self.remembered(journal, subject),
            None => Arc::clone(&self.provider),
        };
        Self {
            provider,
            ..self.clone()
        }
    }

    /// Removes what a process that was killed has left in DNS for a certificate. The caller holds the lock of its
    /// issuance, so that nobody needs the records.
    pub async fn remove_stale_challenges(&self, subject: &HostPattern) {
        let Some(journal) = &self.journal else { return };
        let left = match journal.left(subject).await {
            Ok(left) => left,
            Err(error) => {
                warn!(names = %subject, %error, "records that were left in DNS cannot be listed");
                return;
            }
        };
        let provider = self.remembered(journal, subject);
        for record in left {
            match remove(&*provider, &record).await {
                Ok(()) => info!(name = %record.name, "TXT record that was left in DNS removed"),
                Err(error) => {
                    warn!(name = %record.name, %error, "TXT record that was left in DNS could not be removed");
                }
            }
        }
    }

    fn remembered(&self, journal: &DnsJournal, subject: &HostPattern) -> Arc<dyn DnsProvider> {
        Arc::new(Remembered {
            provider: Arc::clone(&self.provider),
            journal: journal.clone(),
            certificate: subject.clone(),
        })
    }

    async fn put_up(&self, name: &str, value: String) -> Result<Presented, Dns01Error> {
        let name = self
            .propagation
            .owner(&format!("_acme-challenge.{name}"))
            .await?;
        let record = TxtRecord { name, value };
        let (told, outcome) = oneshot::channel();
        let (release, released) = oneshot::channel::<()>();
        let keeper = Keeper {
            provider: Arc::clone(&self.provider),
            record: record.clone(),
            shutdown: self.tasks.shutdown(),
        };
        self.tasks.spawn(keeper.keep(told, released));
        outcome.await.unwrap_or(Err(Dns01Error::Stopping))?;
        self.propagation.wait(&record).await?;
        let (_, seen) = watch::channel(false);
        Ok(Presented::new(seen, move || drop(release)))
    }
}

/// Holds one record from before it is set until it is removed. It has a task of its own, so that neither change is cut in
/// the middle and none overtakes the other.
struct Keeper {
    provider: Arc<dyn DnsProvider>,
    record: TxtRecord,
    shutdown: Shutdown,
}

impl Keeper {
    /// Keeps the record until `released` is sent or dropped, or the process stops.
    async fn keep(
        self,
        told: oneshot::Sender<Result<(), Dns01Error>>,
        released: oneshot::Receiver<()>,
    ) {
        let set = timeout(CHANGE, self.provider.present(&self.record)).await;
        let outcome = set.unwrap_or_else(|_| Err(slow(&self.record)));
        let is_set = outcome.is_ok();
        let is_awaited = told.send(outcome).is_ok();
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
            // It may never have been there.
            Err(error) => {
                debug!(name = %self.record.name, %error, "TXT record could not be removed");
            }
        }
    }
}

async fn remove(provider: &dyn DnsProvider, record: &TxtRecord) -> Result<(), Dns01Error> {
    let removed = timeout(CHANGE, provider.cleanup(record)).await;
    removed.unwrap_or_else(|_| Err(slow(record)))
}

fn slow(record: &TxtRecord) -> Dns01Error {
    Dns01Error::Slow {
        name: record.name.clone(),
        limit: CHANGE,
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
            let presented = self.put_up(name, key_authorization.dns01_value()).await;
            presented.map_err(SolverError::new)
        }
        .boxed()
    }
}
