//! A sliding window: the times of the charges of one budget, and a pause that the CA has asked for. Pure, and robust against
//! clocks that jump.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::limits::Limit;

/// Charges of one budget, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SlidingWindow {
    /// Unix times of the charges, in seconds.
    spent: Vec<u64>,
    /// Pause that the CA has asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<Closure>,
}

/// Pause that a CA has asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Closure {
    since: u64,
    until: u64,
    reason: String,
}

impl Closure {
    pub(super) fn until(&self) -> SystemTime {
        time(self.until)
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

impl SlidingWindow {
    /// Removes the charges before the window. A charge in the future, from a wrong clock, is moved to `now`: a clock that is
    /// set back neither frees charges nor blocks for long.
    pub(super) fn tidy(&mut self, limit: Option<Limit>, now: SystemTime) {
        let now = unix(now);
        let window = limit.map_or(0, |limit| limit.window.as_secs());
        for at in &mut self.spent {
            *at = (*at).min(now);
        }
        self.spent.retain(|at| at.saturating_add(window) > now);
        self.spent.sort_unstable();
        if let Some(closed) = &mut self.closed
            && closed.since > now
        {
            closed.until = closed.until.saturating_sub(closed.since - now);
            closed.since = now;
        }
        self.closed.take_if(|closed| closed.until <= now);
    }

    /// Returns the time at which the next charge is possible; `None` if it is possible now. Call [`tidy`](Self::tidy) first.
    pub(super) fn free_at(&self, limit: Limit) -> Option<SystemTime> {
        let surplus = self.spent.len().checked_sub(limit.count as usize)?;
        // With a count of zero no charge is ever possible; one window after the last charge is the time for a new attempt.
        let oldest = self.spent.get(surplus).or_else(|| self.spent.last());
        let at = oldest.copied().unwrap_or_default();
        Some(time(at.saturating_add(limit.window.as_secs())))
    }

    /// Returns the number of charges that are possible now. Call [`tidy`](Self::tidy) first.
    pub(super) fn left(&self, limit: Limit) -> u32 {
        if self.closed.is_some() {
            return 0;
        }
        let spent = u32::try_from(self.spent.len()).unwrap_or(u32::MAX);
        limit.count.saturating_sub(spent)
    }

    /// Returns the pause of the CA, if it is not over. Call [`tidy`](Self::tidy) first.
    pub(super) fn closed(&self) -> Option<&Closure> {
        self.closed.as_ref()
    }

    pub(super) fn spend(&mut self, now: SystemTime) {
        self.spent.push(unix(now));
    }

    /// Removes one charge of the time `at`.
    pub(super) fn refund(&mut self, at: SystemTime) {
        let at = unix(at);
        if let Some(index) = self.spent.iter().rposition(|spent| *spent == at) {
            self.spent.remove(index);
        }
    }

    /// Sets a pause of the CA, unless there is a longer one.
    pub(super) fn close(&mut self, now: SystemTime, wait: Duration, reason: &str) {
        let until = unix(now).saturating_add(wait.as_secs().max(1));
        if self.closed.as_ref().is_none_or(|held| held.until < until) {
            self.closed = Some(Closure {
                since: unix(now),
                until,
                reason: reason.to_owned(),
            });
        }
    }

    /// Adds the charges and the pause of another charges.
    pub(super) fn merge(&mut self, other: Self) {
        self.spent.extend(other.spent);
        let closures = self.closed.take().into_iter().chain(other.closed);
        self.closed = closures.max_by_key(|closed| closed.until);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spent.is_empty() && self.closed.is_none()
    }
}

fn unix(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn time(seconds: u64) -> SystemTime {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const FOUR: Limit = Limit {
        count: 4,
        window: HOUR,
    };

    fn at(seconds: u64) -> SystemTime {
        time(1_000_000 + seconds)
    }

    fn charges(times: &[u64]) -> SlidingWindow {
        let mut charges = SlidingWindow::default();
        times.iter().for_each(|seconds| charges.spend(at(*seconds)));
        charges
    }

    fn free_at(charges: &mut SlidingWindow, now: u64) -> Option<SystemTime> {
        charges.tidy(Some(FOUR), at(now));
        charges.free_at(FOUR)
    }

    #[test]
    fn no_window_has_more_charges_than_its_count() {
        let mut charges = SlidingWindow::default();
        let mut spent = Vec::new();
        for now in (0..20_000).step_by(7) {
            if free_at(&mut charges, now).is_none() {
                charges.spend(at(now));
                spent.push(now);
            }
        }
        assert!(spent.len() >= 20, "{spent:?}");
        assert!(spent.windows(5).all(|five| five[4] - five[0] >= 3600));
    }

    #[test]
    fn the_next_charge_is_possible_when_the_oldest_leaves_the_window() {
        let mut charges = charges(&[0, 10, 20, 30]);
        assert_eq!(free_at(&mut charges, 40), Some(at(3600)));
        assert_eq!(free_at(&mut charges, 3599), Some(at(3600)));
        assert_eq!(free_at(&mut charges, 3600), None);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_frees_charges_nor_blocks_forever() {
        let year = 365 * 24 * 3600;
        let mut charges = charges(&[year, year, year, year]);
        assert_eq!(free_at(&mut charges, 0), Some(at(3600)));
        assert_eq!(free_at(&mut charges, 3599), Some(at(3600)));
        assert_eq!(free_at(&mut charges, 3600), None);
    }

    #[test]
    fn a_refund_removes_one_charge_of_its_time() {
        let mut charges = charges(&[0, 10, 10, 20]);
        charges.refund(at(10));
        charges.refund(at(11));
        assert_eq!(charges, self::charges(&[0, 10, 20]));
    }

    #[test]
    fn a_pause_ends_in_time_even_if_the_clock_jumps() {
        let mut charges = SlidingWindow::default();
        charges.close(at(0), HOUR, "busy");
        charges.close(at(0), HOUR / 2, "less busy");
        charges.tidy(None, at(3599));
        let closed = charges.closed().unwrap();
        assert_eq!((closed.until(), closed.reason()), (at(3600), "busy"));
        charges.tidy(None, at(3600));
        assert!(charges.is_empty());

        charges.close(at(100_000), HOUR, "busy");
        charges.tidy(None, at(0));
        assert_eq!(charges.closed().unwrap().until(), at(3600));
    }
}
