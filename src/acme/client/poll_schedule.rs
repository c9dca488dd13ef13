//! Polls of a resource that the CA is working on: their intervals and their deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backoff::Polling;

/// Duration of the quick polls.
const QUICK: Duration = Duration::from_secs(1);

/// Polls with a deadline: quick ones while the CA is likely to finish soon, then slower ones.
#[derive(Debug)]
pub(in crate::acme) struct Polls {
    quick: Polling,
    quick_until: Instant,
    slow: Polling,
    limit: Duration,
    deadline: Instant,
}

impl Polls {
    /// Polls for at most `limit`, without quick polls.
    pub(in crate::acme) fn slow(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            quick: Polling::new(Duration::from_millis(5), Duration::from_millis(250)),
            quick_until: now,
            slow: Polling::new(Duration::from_millis(250), Duration::from_secs(5)),
            limit,
            deadline: now + limit,
        }
    }

    /// Polls for at most `limit`, quickly at first.
    pub(in crate::acme) fn quick(limit: Duration) -> Self {
        let mut polls = Self::slow(limit);
        polls.restart_quick();
        polls
    }

    /// Makes the next polls quick ones.
    pub(in crate::acme) fn restart_quick(&mut self) {
        self.quick_until = Instant::now() + QUICK;
    }

    /// Returns the time that all polls together may take.
    pub(in crate::acme) fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits for the next poll. Returns `false` after the deadline. A Retry-After overrides the schedule.
    pub(in crate::acme) async fn next(&mut self, retry_after: Option<Duration>) -> bool {
        let now = Instant::now();
        if now >= self.deadline {
            return false;
        }
        let delay = if now < self.quick_until {
            self.quick.next(retry_after)
        } else {
            self.slow.next(retry_after)
        };
        sleep(delay.min(self.deadline - now)).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn delay(polls: &mut Polls, retry_after: Option<Duration>) -> Duration {
        let start = Instant::now();
        assert!(polls.next(retry_after).await);
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn polls_are_quick_for_a_second_and_then_slow() {
        let mut polls = Polls::quick(Duration::from_secs(60));
        let start = Instant::now();
        assert!(delay(&mut polls, None).await < Duration::from_millis(10));
        let mut count = 1;
        while start.elapsed() < QUICK {
            polls.next(None).await;
            count += 1;
        }
        assert!((8..20).contains(&count), "{count} polls");
        assert!(delay(&mut polls, None).await >= Duration::from_millis(250));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_also_obeyed_during_the_quick_polls() {
        let mut polls = Polls::quick(Duration::from_secs(60));
        let asked = Duration::from_secs(3);
        assert!(delay(&mut polls, Some(asked)).await >= asked);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_poll_is_at_the_deadline() {
        let limit = Duration::from_secs(4);
        let mut polls = Polls::slow(limit);
        let start = Instant::now();
        while polls.next(Some(Duration::from_secs(3))).await {}
        assert!((limit..limit + Duration::from_millis(5)).contains(&start.elapsed()));
    }
}
