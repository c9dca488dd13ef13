//! The generic cell rate algorithm (GCRA): a rate limit with bursts that remembers one point in time per client.
//! Knows no room.

use std::time::Duration;

use tokio::time::Instant;

/// A rate limit. It holds no counts: each client, network or site has a [`Meter`] of its own.
#[derive(Clone, Debug)]
pub struct Gcra {
    /// The start of the time that meters count in.
    epoch: Instant,
    /// Nanoseconds from one event to the next at an even pace.
    interval: u64,
    /// Nanoseconds by which a meter may run ahead of the clock.
    tolerance: u64,
}

/// The theoretical arrival time of a client's next event: when all events so far would be over, had they come at an even
/// pace. In nanoseconds since the epoch of its [`Gcra`].
///
/// The order of meters is the order in which their clients are forgotten first: idle ones, then those with few events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meter(u64);

impl Gcra {
    /// Allows `count` events in each `period`, and `burst` events at once after a long enough pause. Zeros count as one.
    #[must_use]
    pub fn new(count: u16, period: Duration, burst: u16) -> Self {
        let interval = (nanos(period) / u64::from(count.max(1))).max(1);
        Self {
            epoch: Instant::now(),
            interval,
            tolerance: interval.saturating_mul(u64::from(burst.max(1))),
        }
    }

    /// Counts an event at `now`.
    ///
    /// # Errors
    ///
    /// The time to wait until the next event is allowed. A refused event does not count.
    pub fn take(&self, meter: &mut Meter, now: Instant) -> Result<(), Duration> {
        let now = nanos(now.duration_since(self.epoch));
        let next = meter.0.max(now).saturating_add(self.interval);
        match next.saturating_sub(now.saturating_add(self.tolerance)) {
            0 => {
                meter.0 = next;
                Ok(())
            }
            early => Err(Duration::from_nanos(early)),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_an_even_pace() {
        let rate = Gcra::new(2, Duration::from_secs(1), 3);
        let (mut meter, start) = (Meter::default(), Instant::now());
        for _ in 0..3 {
            rate.take(&mut meter, start).unwrap();
        }
        let wait = Duration::from_millis(500);
        assert_eq!(rate.take(&mut meter, start), Err(wait));
        // Asking again makes the wait no longer.
        assert_eq!(rate.take(&mut meter, start), Err(wait));
        rate.take(&mut meter, start + wait).unwrap();
        assert_eq!(rate.take(&mut meter, start + wait), Err(wait));
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_rate_and_the_largest_burst_fit_the_clock() {
        let rate = Gcra::new(1, Duration::from_secs(366 * 24 * 3600), u16::MAX);
        let (mut meter, late) = (Meter::default(), Duration::from_nanos(u64::MAX / 2));
        for _ in 0..1000 {
            rate.take(&mut meter, Instant::now() + late).unwrap();
        }
    }
}
