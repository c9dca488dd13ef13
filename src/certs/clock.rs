//! The clock of the certificates, which tests can replace.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Source of the current time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug, Default)]
enum Source {
    #[default]
    System,
    Runtime {
        start: SystemTime,
        since: Instant,
    },
}

impl Clock {
    /// Returns the clock of the machine, which may jump.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that starts at `start` and follows the time of the runtime, which tests can pause.
    #[must_use]
    pub fn simulated(start: SystemTime) -> Self {
        let since = Instant::now();
        Self(Source::Runtime { start, since })
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match self.0 {
            Source::System => SystemTime::now(),
            Source::Runtime { start, since } => start + since.elapsed(),
        }
    }
}

/// Converts a time to Unix seconds; 0 for a time before 1970.
pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Converts Unix seconds to a time; 1970 if the number is too large.
pub(super) fn from_unix(seconds: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_follows_paused_time() {
        let start = from_unix(1_000_000_000);
        let clock = Clock::simulated(start);
        tokio::time::sleep(Duration::from_secs(30 * 24 * 3600)).await;
        assert_eq!(unix(clock.now()), 1_000_000_000 + 30 * 24 * 3600);
    }
}
