//! The time of day as certificates see it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A source of the time of day: the machine's clock, or a simulated one in tests.
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
    /// The machine's clock. It may jump, and it goes on while the machine is suspended.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and advances with the runtime's time, which tests can pause.
    #[must_use]
    pub fn simulated(start: SystemTime) -> Self {
        let since = Instant::now();
        Self(Source::Runtime { start, since })
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match self.0 {
            Source::System => SystemTime::now(),
            Source::Runtime { start, since } => start + since.elapsed(),
        }
    }
}

/// Returns the whole seconds since 1970; 0 for any time before.
pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Returns the time `seconds` after 1970; 1970 itself if that overflows.
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
