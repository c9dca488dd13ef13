//! Puts a challenge up in DNS and sees to it that it comes down, whoever stops waiting.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::error::Dns01Error;
use super::propagation::Propagation;
use super::provider::{DnsProvider, TxtRecord};
use crate::acme::{ChallengeType, Identifier, KeyAuthorization, Presented, Solver, SolverError};
use crate::tasks::{Shutdown, Tasks};

/// How long setting or removing a record may take.
const CHANGE: Duration = Duration::from_secs(120);

/// Proves names by records that a provider sets.
#[derive(Clone)]
pub struct Dns01Solver {
    provider: Arc<dyn DnsProvider>,
    propagation: Arc<Propagation>,
    tasks: Tasks,
}

impl Dns01Solver {
    /// A solver whose records are kept by `tasks`, which must be given time to remove them when the process ends.
    #[must_use]
    pub fn new(provider: Arc<dyn DnsProvider>, propagation: Propagation, tasks: Tasks) -> Self {
        Self {
            provider,
            propagation: Arc::new(propagation),
            tasks,
        }
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
        let outcome = set.unwrap_or_else(|_| Err(self.slow()));
        let is_set = outcome.is_ok();
        let is_awaited = told.send(outcome).is_ok();
        if is_set && is_awaited {
            tokio::select! {
                _ = released => (),
                () = self.shutdown.requested() => (),
            }
        }
        let removed = timeout(CHANGE, self.provider.cleanup(&self.record)).await;
        match removed.unwrap_or_else(|_| Err(self.slow())) {
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

    fn slow(&self) -> Dns01Error {
        Dns01Error::Slow {
            name: self.record.name.clone(),
            limit: CHANGE,
        }
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
