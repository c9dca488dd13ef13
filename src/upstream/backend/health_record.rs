//! Record of the health of a backend, for people: why it is out, and its last check. Requests write to it
//! only after a failure.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::printable::with_causes;

/// Outcome of the last health check of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    /// Time of its end.
    pub at: SystemTime,
    /// Reason of its failure in one sentence, if it has failed.
    pub failure: Option<String>,
}

/// The record of one backend. A reload keeps it together with the health.
#[derive(Debug, Default)]
pub(in crate::upstream) struct HealthRecord {
    ejections: AtomicU64,
    last_failure: Mutex<Option<String>>,
    last_check: Mutex<Option<LastCheck>>,
}

impl HealthRecord {
    /// Counts an ejection.
    pub(super) fn ejected(&self) {
        self.ejections.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of ejections since the start.
    pub(super) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Keeps the reason why an attempt has failed. If another worker does so at this moment, its reason stays.
    pub(super) fn failed(&self, error: &dyn Error) {
        if let Some(mut last) = self.last_failure.try_lock() {
            *last = Some(with_causes(error));
        }
    }

    /// Returns the reason of the last failed attempt.
    pub(super) fn last_failure(&self) -> Option<String> {
        self.last_failure.lock().clone()
    }

    /// Keeps the outcome of a health check.
    pub(in crate::upstream) fn checked(&self, failure: Option<&dyn Error>) {
        *self.last_check.lock() = Some(LastCheck {
            at: SystemTime::now(),
            failure: failure.map(with_causes),
        });
    }

    /// Returns the outcome of the last health check.
    pub(super) fn last_check(&self) -> Option<LastCheck> {
        self.last_check.lock().clone()
    }
}
