//! The status of a backend, for people and for metrics.

use tokio::time::Instant;

use super::backend::Backend;
use super::backend_figures::BackendTotals;
use super::backend_state::BackendState;
use super::health_record::LastCheck;
use crate::figures::{LAST_MINUTE, WINDOW, Window};

/// Status of one backend.
#[derive(Clone, Debug)]
pub struct BackendStatus {
    /// Its address.
    pub address: String,
    /// State, which says if it gets requests.
    pub state: BackendState,
    /// Why it gets none, in one sentence.
    pub reason: Option<String>,
    /// Requests and tunnels in flight.
    pub in_flight: usize,
    /// Number of ejections since the start.
    pub ejections: u64,
    /// Attempts since the start.
    pub totals: BackendTotals,
    /// Attempts of the last minute.
    pub last_minute: Window,
    /// Attempts of the last minutes.
    pub recent: Window,
    /// Its last health check, if it is checked.
    pub last_check: Option<LastCheck>,
}

impl Backend {
    /// Returns the status of this moment.
    #[must_use]
    pub fn status(&self) -> BackendStatus {
        let now = Instant::now();
        let health = self.health_state();
        let (record, state) = (health.record(), health.state(now));
        let last_check = record.last_check();
        let totals = self.totals();
        let over = |length| self.recent().lock().over(length, now, &totals.sampled());
        BackendStatus {
            address: self.address().to_string(),
            reason: match state {
                BackendState::Up | BackendState::SlowStart => None,
                BackendState::Ejected(_) => record.last_failure(),
                BackendState::Down => last_check.as_ref().and_then(|last| last.failure.clone()),
            },
            state,
            in_flight: self.in_flight(),
            ejections: record.ejections(),
            last_minute: over(LAST_MINUTE),
            recent: over(WINDOW),
            totals,
            last_check,
        }
    }

    /// Takes a sample of the attempts. Must be called at the intervals of [`SAMPLE_EVERY`].
    ///
    /// [`SAMPLE_EVERY`]: crate::figures::SAMPLE_EVERY
    pub fn sample(&self, now: Instant) {
        let totals = self.totals().sampled();
        self.recent().lock().sample(now, totals);
    }
}
