//! Counts of the last minutes: samples of totals, taken at intervals, so that nothing that is counted needs a
//! time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::histogram::HistogramTotals;
use super::request_figures::{Outcome, RequestTotals};

/// Time between two samples.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(20);
/// Time over which latencies and shares of errors are told.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Time over which rates are told.
pub const LAST_MINUTE: Duration = Duration::from_secs(60);

/// Totals of which samples are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowTotals {
    /// Requests by the number of their [`Outcome`].
    pub ended: [u64; Outcome::ALL.len()],
    /// Their times.
    pub times: HistogramTotals,
}

/// Counts of a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Length of the time.
    pub length: Duration,
    /// Counts in it.
    pub counted: WindowTotals,
}

/// Samples of the last minutes. Totals that do not change need one sample at most.
#[derive(Debug)]
pub struct RecentTotals {
    began: Instant,
    /// The oldest comes first. It is the start of the window.
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    totals: WindowTotals,
}

impl From<&RequestTotals> for WindowTotals {
    fn from(totals: &RequestTotals) -> Self {
        Self {
            ended: totals.ended,
            times: totals.durations,
        }
    }
}

impl WindowTotals {
    /// Number of requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Returns the share of requests with one of these outcomes. `None` if there were no requests.
    #[must_use]
    pub fn share(&self, outcomes: &[Outcome]) -> Option<f64> {
        let requests = self.requests();
        let counted = outcomes.iter().map(|outcome| self.ended[*outcome as usize]);
        (requests > 0).then(|| counted.sum::<u64>() as f64 / requests as f64)
    }

    /// Adds the counts of other totals.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.ended.iter_mut().zip(other.ended) {
            *count += more;
        }
        self.times.add(&other.times);
    }

    /// Returns what was counted since the `earlier` moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = *self;
        for (count, before) in since.ended.iter_mut().zip(earlier.ended) {
            *count = count.saturating_sub(before);
        }
        since.times = self.times.since(&earlier.times);
        since
    }
}

impl Window {
    /// Requests per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.counted.requests() as f64 / self.length.as_secs_f64().max(1.0)
    }
}

impl RecentTotals {
    /// Begins at zero.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            samples: VecDeque::new(),
        }
    }

    /// Takes a sample. Must be called every [`SAMPLE_EVERY`].
    pub fn sample(&mut self, now: Instant, totals: WindowTotals) {
        // What several owners share is sampled by each of them.
        let last = self.samples.back();
        if last.is_some_and(|last| now - last.at < SAMPLE_EVERY / 2) {
            return;
        }
        while self.samples.len() > 1 && now - self.samples[1].at >= WINDOW {
            self.samples.pop_front();
        }
        match self.samples.front_mut() {
            Some(first) if first.totals == totals => {
                first.at = now;
                self.samples.truncate(1);
                return;
            }
            None if totals == WindowTotals::default() => return,
            None => {
                let before = now.checked_sub(SAMPLE_EVERY).unwrap_or(self.began);
                self.samples.push_back(Sample {
                    at: before.max(self.began),
                    totals: WindowTotals::default(),
                });
            }
            Some(_) => {}
        }
        self.samples.push_back(Sample { at: now, totals });
    }

    /// Returns what was counted in about the last `length`, given the totals of now.
    #[must_use]
    pub fn over(&self, length: Duration, now: Instant, totals: &WindowTotals) -> Window {
        let is_before = |sample: &&Sample| now.duration_since(sample.at) >= length;
        let start = self.samples.iter().rev().find(is_before);
        let start = start.or_else(|| self.samples.front());
        let age = now.duration_since(self.began);
        let Some(start) = start else {
            return Window {
                length: length.min(age),
                counted: *totals,
            };
        };
        // Nothing was counted before the first sample.
        let since = now.duration_since(start.at);
        Window {
            length: since.max(length.min(age)),
            counted: totals.since(&start.totals),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(requests: u64) -> WindowTotals {
        let mut totals = WindowTotals::default();
        totals.ended[Outcome::Success as usize] = requests;
        totals
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_holds_what_was_counted_in_it() {
        let start = Instant::now();
        let mut recent = RecentTotals::new(start);
        let at = |ticks: u32| start + ticks * SAMPLE_EVERY;
        let counted = |recent: &RecentTotals, length, ticks, requests| {
            let window = recent.over(length, at(ticks), &totals(requests));
            (window.length.as_secs(), window.counted.requests())
        };
        assert_eq!(counted(&recent, LAST_MINUTE, 1, 3), (20, 3));
        // Ten requests in each interval.
        for ticks in 1..=60 {
            recent.sample(at(ticks), totals(u64::from(ticks) * 10));
        }
        assert_eq!(counted(&recent, LAST_MINUTE, 60, 600), (60, 30));
        assert_eq!(counted(&recent, WINDOW, 60, 605), (300, 155));
        assert!(recent.samples.len() <= 17, "{}", recent.samples.len());
        let rate = recent.over(LAST_MINUTE, at(60), &totals(600)).per_second();
        assert!((rate - 0.5).abs() < 1e-9, "{rate}");
        // Then none at all.
        for ticks in 61..=80 {
            recent.sample(at(ticks), totals(600));
        }
        assert_eq!(counted(&recent, WINDOW, 80, 600).1, 0);
        assert_eq!(recent.samples.len(), 1);
        assert_eq!(counted(&recent, LAST_MINUTE, 81, 601), (60, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_counts_needs_no_memory() {
        let mut recent = RecentTotals::new(Instant::now());
        recent.sample(Instant::now() + WINDOW, totals(0));
        assert_eq!(recent.samples.capacity(), 0);
        let later = Instant::now() + 2 * WINDOW;
        recent.sample(later, totals(5));
        let window = recent.over(LAST_MINUTE, later, &totals(5));
        assert_eq!((window.length, window.counted.requests()), (LAST_MINUTE, 5));
    }
}
