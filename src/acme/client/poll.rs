//! How often to look at what the CA is working on, and for how long.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backoff::Polling;

/// How long the quick looks last.
const QUICK: Duration = Duration::from_secs(1);

/// A series of looks with a deadline: quick ones while the CA is likely to be done any moment, then slower ones.
#[derive(Debug)]
pub(in crate::acme) struct Looks {
    quick: Polling,
    quick_until: Instant,
    slow: Polling,
    limit: Duration,
    deadline: Instant,
}

impl Looks {
    /// Looks for at most `limit`, without a quick start.
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

    /// Looks for at most `limit`, quickly at first.
    pub(in crate::acme) fn quick(limit: Duration) -> Self {
        let mut looks = Self::slow(limit);
        looks.hurry();
        looks
    }

    /// Makes the next looks quick ones.
    pub(in crate::acme) fn hurry(&mut self) {
        self.quick_until = Instant::now() + QUICK;
    }

    /// The time that all looks together may take.
    pub(in crate::acme) fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits for the next look and returns whether there is one. A Retry-After wins over the schedule.
    pub(in crate::acme) async fn next(&mut self, retry_after: Option<Duration>) -> bool {
        let now = Instant::now();
        if now >= self.deadline {
            return false;
        }
        let delay = match now < self.quick_until {
            true => self.quick.next(retry_after),
            false => self.slow.next(retry_after),
        };
        sleep(delay.min(self.deadline - now)).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn delay(looks: &mut Looks, retry_after: Option<Duration>) -> Duration {
        let start = Instant::now();
        assert!(looks.next(retry_after).await);
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_quick_for_a_second_and_then_slow() {
        let mut looks = Looks::quick(Duration::from_secs(60));
        let start = Instant::now();
        assert!(delay(&mut looks, None).await < Duration::from_millis(10));
        let mut count = 1;
        while start.elapsed() < QUICK {
            looks.next(None).await;
            count += 1;
        }
        assert!((8..20).contains(&count), "{count} looks");
        assert!(delay(&mut looks, None).await >= Duration::from_millis(250));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_obeyed_also_among_the_quick_looks() {
        let mut looks = Looks::quick(Duration::from_secs(60));
        let asked = Duration::from_secs(3);
        assert!(delay(&mut looks, Some(asked)).await >= asked);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_look_is_at_the_deadline() {
        let limit = Duration::from_secs(4);
        let mut looks = Looks::slow(limit);
        let start = Instant::now();
        while looks.next(Some(Duration::from_secs(3))).await {}
        assert!((limit..limit + Duration::from_millis(5)).contains(&start.elapsed()));
    }
}
