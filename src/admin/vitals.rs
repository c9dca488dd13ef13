//! What a running proxy can tell of itself as a whole.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer::{CertificateCounts, RefusalCount, Status};
use crate::certs::CertManager;
use crate::proxy::{Refusals, Routers};

/// Where to look when somebody asks how a proxy is. Nothing is noted here: all of it is there for other ends.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// When the proxy started.
    pub began: Instant,
    /// The places of connections that are free.
    pub places: Arc<Semaphore>,
    /// How many there are in all.
    pub capacity: usize,
    /// The sites.
    pub routers: Arc<Routers>,
    /// What was refused.
    pub refusals: Refusals,
    /// The certificates.
    pub manager: CertManager,
}

impl Vitals {
    /// How the proxy is. Looks at every name that the configuration spells out, which takes its time where they are many.
    #[must_use]
    pub fn status(&self) -> Status {
        let certificates = self.manager.census();
        let refusals = self.refusals.by_reason().into_iter();
        let refusals = refusals.map(|(reason, count)| RefusalCount {
            reason: reason.word().to_owned(),
            count,
        });
        Status {
            uptime_seconds: self.began.elapsed().as_secs(),
            sites: self.routers.snapshot().count(),
            connections: self.connections(),
            certificates: CertificateCounts {
                in_memory: certificates.in_memory,
                names: certificates.names,
                names_without: certificates.without,
            },
            refusals: refusals.collect(),
        }
    }

    /// How many clients are connected.
    pub(super) fn connections(&self) -> usize {
        self.capacity
            .saturating_sub(self.places.available_permits())
    }
}
