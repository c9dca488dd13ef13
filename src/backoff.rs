//! Delays between attempts: a table of growing delays with jitter, which a server's Retry-After overrides. Knows no room.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Delays by number of failures. The last one repeats forever.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    seconds: &'static [u64],
    jitter: f64,
}

/// The delays of a name after failed attempts to get a certificate.
pub const ISSUANCE: Schedule = Schedule {
    seconds: &[
        MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        20 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        24 * HOUR,
    ],
    jitter: 0.2,
};

/// The shortest delay of a name after a certificate that was issued but cannot be used: CAs limit equal certificates per
/// week.
pub const UNUSABLE: Schedule = Schedule {
    seconds: &[HOUR, 12 * HOUR, 42 * HOUR],
    jitter: 0.2,
};

/// The shortest delay of a name after a failure that only the operator can correct: an hour to an hour and a half.
pub const PERMANENT: Schedule = Schedule {
    seconds: &[75 * MINUTE],
    jitter: 0.2,
};

impl Schedule {
    /// Returns the delay after the `failures`-th failure in a row, counted from 1. A Retry-After that is longer than the
    /// delay in the table overrides it, and is never shortened by jitter.
    #[must_use]
    pub fn delay(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let step = (failures.max(1) as usize - 1).min(self.seconds.len() - 1);
        let base = Duration::from_secs(self.seconds[step]);
        let delay = spread(base, self.jitter);
        match retry_after {
            Some(asked) if asked > delay => asked + asked.mul_f64(fastrand::f64() * 0.05),
            _ => delay,
        }
    }
}

/// Moves `base` by up to the fraction `jitter` to either side, uniformly.
#[must_use]
pub fn spread(base: Duration, jitter: f64) -> Duration {
    base.mul_f64(1.0 + jitter * (2.0 * fastrand::f64() - 1.0))
}

/// The delays between polls of something that another machine is working on.
#[derive(Clone, Debug)]
pub struct Polling {
    next: Duration,
    longest: Duration,
}

impl Polling {
    /// Starts at `first`, and grows by half with each poll up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            longest,
        }
    }

    /// Returns the delay before the next poll. A Retry-After overrides the schedule, up to a minute.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let own = self.next;
        self.next = own.mul_f64(1.5).min(self.longest);
        match retry_after {
            Some(asked) if !asked.is_zero() => asked.min(Duration::from_secs(MINUTE)),
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_then_stay_at_the_last_step() {
        for (failures, minutes) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (6, 30),
            (7, 60),
            (12, 1440),
            (1000, 1440),
        ] {
            let delay = ISSUANCE.delay(failures, None).as_secs_f64() / 60.0;
            let expected = f64::from(minutes);
            assert!(
                (expected * 0.79..=expected * 1.21).contains(&delay),
                "{failures}: {delay} min"
            );
        }
    }

    #[test]
    fn a_longer_retry_after_wins_and_is_never_undercut() {
        let asked = Duration::from_secs(2 * 24 * HOUR);
        for _ in 0..100 {
            assert!(ISSUANCE.delay(1, Some(asked)) >= asked);
        }
        assert!(ISSUANCE.delay(12, Some(Duration::from_secs(1))) > Duration::from_secs(18 * HOUR));
    }

    #[test]
    fn polling_grows_to_its_longest_and_obeys_retry_after_within_a_minute() {
        let mut polling = Polling::new(Duration::from_millis(250), Duration::from_secs(5));
        assert_eq!(polling.next(None), Duration::from_millis(250));
        assert_eq!(
            polling.next(Some(Duration::from_secs(3))),
            Duration::from_secs(3)
        );
        assert_eq!(
            polling.next(Some(Duration::from_secs(86_400))),
            Duration::from_secs(60)
        );
        for _ in 0..20 {
            polling.next(None);
        }
        assert_eq!(polling.next(None), Duration::from_secs(5));
        assert_eq!(polling.next(Some(Duration::ZERO)), Duration::from_secs(5));
    }
}
