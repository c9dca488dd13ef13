//! State that the manager and its attempts share: the ruleset, the obtainer, the flights and the schedule.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::reminder::Reminder;
use super::single_flight::{FlightError, SingleFlight};
use crate::certs::certificate::{CertCache, Certificate};
use crate::certs::clock::Clock;
use crate::certs::issuance::Obtainer;
use crate::certs::policy::{AppliedPolicy, Ruleset};
use crate::certs::status::CertificateRefusal;
use crate::certs::store::CertificateStore;
use crate::name::HostPattern;
use crate::tasks::Tasks;

/// Limits how many handshakes may wait for one name.
pub(super) const MAX_WAITING: usize = 1024;

/// The outcome of a look-up or an order.
pub type Outcome = Result<Arc<Certificate>, CertificateRefusal>;

#[derive(Debug)]
pub(super) struct ManagerState {
    pub(super) ruleset: ArcSwap<Ruleset>,
    pub(super) obtainer: Obtainer,
    pub(super) flights: SingleFlight<HostPattern, Outcome>,
    schedule: mpsc::UnboundedSender<Reminder>,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
}

/// Parts that the manager is built from.
#[derive(Debug)]
pub struct ManagerParts {
    /// The rules: which names may have a certificate, and who signs.
    pub ruleset: Ruleset,
    /// The stored certificates and attempts.
    pub records: CertificateStore,
    /// The certificates in memory, which the TLS server serves.
    pub cache: Arc<CertCache>,
    /// The time of day.
    pub clock: Clock,
    /// Runs look-ups, orders and the renewal loop.
    pub tasks: Tasks,
}

impl ManagerState {
    pub(super) fn new(parts: ManagerParts, schedule: mpsc::UnboundedSender<Reminder>) -> Self {
        Self {
            ruleset: ArcSwap::from_pointee(parts.ruleset),
            obtainer: Obtainer::new(parts.records, parts.cache, parts.clock),
            flights: SingleFlight::new(MAX_WAITING),
            schedule,
            clock: parts.clock,
            tasks: parts.tasks,
        }
    }

    pub(super) fn cache(&self) -> &CertCache {
        self.obtainer.cache()
    }

    pub(super) fn ruleset(&self) -> Arc<Ruleset> {
        self.ruleset.load_full()
    }

    /// Returns the current policy of a subject; `None` if it may not have a certificate.
    pub(super) fn policy(&self, subject: &HostPattern) -> Option<AppliedPolicy> {
        let ruleset = self.ruleset();
        let policy = Arc::clone(ruleset.policy(subject)?);
        Some(AppliedPolicy { ruleset, policy })
    }

    /// Sends a reminder to the renewal loop. The loop is gone only when the process stops, so a failed send is ignored.
    pub(super) fn remind(&self, reminder: Reminder) {
        let _ = self.schedule.send(reminder);
    }
}

impl From<FlightError> for CertificateRefusal {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::TooManyWaiting => Self::TooManyWaiting,
            FlightError::Abandoned => Self::Stopping,
        }
    }
}
