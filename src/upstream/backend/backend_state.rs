//! The state of a backend, as its health gives it.

use std::time::Duration;

/// Whether a backend gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// It gets requests.
    Up,
    /// It has recovered, and gets less than its share for a while.
    SlowStart,
    /// It gets no requests for this time, because too many have failed. With no time left, the next request is a trial.
    Ejected(Duration),
    /// Its health check fails, so that it gets no requests.
    Down,
}

impl BackendState {
    /// Returns the word for the state, as in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::SlowStart => "slow-start",
            Self::Ejected(_) => "ejected",
            Self::Down => "down",
        }
    }
}
