//! A histogram of times with fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the buckets, in microseconds. Longer times fall into one more bucket.
const BOUNDS: [u32; 33] = [
    100, 200, 300, 500, 700, //
    1_000, 1_500, 2_000, 3_000, 5_000, 7_000, //
    10_000, 15_000, 20_000, 30_000, 50_000, 70_000, //
    100_000, 150_000, 200_000, 300_000, 500_000, 700_000, //
    1_000_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000, 7_000_000, //
    10_000_000, 20_000_000, 30_000_000, 60_000_000,
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// Upper ends of the buckets that are exported, in microseconds. Each is among [`BOUNDS`].
const EXPORTED: [u32; 15] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Counts of times, for one writer.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// The counts of one or several histograms at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistogramTotals {
    buckets: [u64; BUCKETS],
    /// Sum of all times, in microseconds.
    sum: u64,
}

impl Histogram {
    /// Counts a time, given in microseconds.
    pub fn record(&self, micros: u64) {
        let bucket = BOUNDS.partition_point(|bound| u64::from(*bound) < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// Returns the counts of this moment.
    #[must_use]
    pub fn totals(&self) -> HistogramTotals {
        HistogramTotals {
            buckets: self.buckets.each_ref().map(|it| it.load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum: AtomicU64::new(0),
        }
    }
}

impl Default for HistogramTotals {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            sum: 0,
        }
    }
}

impl HistogramTotals {
    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += count;
        }
        self.sum += other.sum;
    }

    /// Returns what was counted since the `earlier` moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = *self;
        for (bucket, count) in since.buckets.iter_mut().zip(earlier.buckets) {
            *bucket = bucket.saturating_sub(count);
        }
        since.sum = since.sum.saturating_sub(earlier.sum);
        since
    }

    /// Number of times.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Sum of all times in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        Duration::from_micros(self.sum).as_secs_f64()
    }

    /// Returns the time that this share of all times does not exceed, interpolated within its bucket. `None` if there are
    /// no times. Times beyond the last bound count as that bound.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = share * count as f64;
        let mut before = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            if *bucket > 0 && (before + bucket) as f64 >= wanted {
                let end = |index: usize| f64::from(BOUNDS[index.min(BOUNDS.len() - 1)]);
                let begin = if index == 0 { 0.0 } else { end(index - 1) };
                let part = (wanted - before as f64).max(0.0) / *bucket as f64;
                let micros = begin + (end(index) - begin) * part;
                return Some(Duration::from_secs_f64(micros / 1e6));
            }
            before += bucket;
        }
        None
    }

    /// Returns the exported buckets: the upper end in seconds, and the number of times in the bucket alone.
    pub fn exported(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut first = 0;
        EXPORTED.iter().map(move |end| {
            let next = BOUNDS.partition_point(|bound| bound <= end);
            let count = self.buckets[first..next].iter().sum();
            first = next;
            (Duration::from_micros(u64::from(*end)).as_secs_f64(), count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(times: impl IntoIterator<Item = u64>) -> HistogramTotals {
        let histogram = Histogram::default();
        times.into_iter().for_each(|time| histogram.record(time));
        histogram.totals()
    }

    #[test]
    fn every_exported_bound_is_the_end_of_a_bucket_and_includes_it() {
        assert!(EXPORTED.iter().all(|end| BOUNDS.contains(end)));
        assert!(BOUNDS.is_sorted());
        let totals = totals([1, 1_000, 1_001, 99_000_000]);
        let exported: Vec<_> = totals.exported().collect();
        assert_eq!(exported[..3], [(0.0005, 1), (0.001, 1), (0.002, 1)]);
        assert_eq!(exported.last(), Some(&(30.0, 0)));
        assert_eq!(exported.iter().map(|(_, count)| count).sum::<u64>(), 3);
        assert_eq!(totals.count(), 4);
        assert!((totals.seconds() - 99.002_002).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_near_the_real_ones() {
        let uniform = totals((1..=1000).map(|millis| millis * 1000));
        for (share, millis) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = uniform.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((found - millis).abs() < 20.0, "{share}: {found}");
        }
        assert_eq!(totals([]).quantile(0.5), None);
        let late = totals([u64::MAX / 2]).quantile(0.5);
        assert_eq!(late, Some(Duration::from_secs(60)));
    }

    #[test]
    fn what_was_counted_since_a_moment_is_the_difference() {
        let (earlier, later) = (totals([5]), totals([5, 7, 2_000]));
        let since = later.since(&earlier);
        assert_eq!(since, totals([7, 2_000]));
        let mut sum = earlier;
        sum.add(&since);
        assert_eq!(sum, later);
    }
}
