//! Counters of one worker's attempts at one backend, and their sums.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use crate::figures::{Histogram, HistogramTotals, Outcome, WindowTotals};

/// Counters of the attempts of one worker.
#[derive(Debug, Default)]
pub(in crate::upstream) struct BackendFigures {
    ended: [AtomicU64; Outcome::ALL.len()],
    retries: AtomicU64,
    head_times: Histogram,
}

/// Attempts at one backend, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendTotals {
    /// Attempts by the number of their [`Outcome`]; those without a response failed.
    pub ended: [u64; Outcome::ALL.len()],
    /// Failed attempts after which the request was sent again, here or elsewhere.
    pub retries: u64,
    /// Times until the head of a response.
    pub head_times: HistogramTotals,
}

impl BackendFigures {
    /// Counts a response whose head has arrived after this time.
    pub(in crate::upstream) fn answered(&self, status: StatusCode, micros: u64) {
        self.ended[Outcome::of(status) as usize].fetch_add(1, Ordering::Relaxed);
        self.head_times.record(micros);
    }

    /// Counts an attempt that got no response.
    pub(in crate::upstream) fn failed(&self) {
        self.ended[Outcome::None as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is sent again after a failed attempt.
    pub(in crate::upstream) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, totals: &mut BackendTotals) {
        for (count, more) in totals.ended.iter_mut().zip(&self.ended) {
            *count += more.load(Ordering::Relaxed);
        }
        totals.retries += self.retries.load(Ordering::Relaxed);
        totals.head_times.add(&self.head_times.totals());
    }
}

impl BackendTotals {
    /// Number of attempts that got no response.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.ended[Outcome::None as usize]
    }

    pub(super) fn sampled(&self) -> WindowTotals {
        WindowTotals {
            ended: self.ended,
            times: self.head_times,
        }
    }
}
