//! A limit for log lines about events that can come in floods: one line in an interval, with the number of events. Knows no
//! room.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Least time between two lines, unless another one is chosen.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts the events of one kind, and says which of them are logged.
#[derive(Debug)]
pub struct LogLimit {
    interval: Duration,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// Time of the last line.
    last: Option<Instant>,
    /// Events since then.
    unlogged: u64,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::every(INTERVAL)
    }
}

impl LogLimit {
    /// Allows one line in this time.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self {
            interval,
            counted: Mutex::default(),
        }
    }

    /// Counts an event. Returns the number of events since the last line, with this one, if a line is due.
    pub fn count(&self) -> Option<u64> {
        let mut counted = self.counted.lock();
        counted.unlogged += 1;
        let now = Instant::now();
        if counted.last.is_some_and(|last| now - last < self.interval) {
            return None;
        }
        counted.last = Some(now);
        Some(std::mem::take(&mut counted.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_one_line_a_second_with_its_count() {
        let limit = LogLimit::default();
        assert_eq!(limit.count(), Some(1));
        for _ in 0..10 {
            assert_eq!(limit.count(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!((limit.count(), limit.count()), (Some(11), None));
        tokio::time::advance(INTERVAL).await;
        assert_eq!(limit.count(), Some(2));
    }
}
