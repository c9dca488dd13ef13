//! Figures of the requests of one site. Each worker has counters of its own from its first request on.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::counted_request::CountedRequest;
use super::recent::{RecentTotals, Window, WindowTotals};
use super::request_figures::{RequestFigures, RequestTotals};
use crate::per_worker::{CachePadded, PerWorker};

/// Figures of one site.
#[derive(Debug)]
pub struct SiteFigures {
    workers: PerWorker<OnceLock<Arc<CachePadded<RequestFigures>>>>,
    recent: Mutex<RecentTotals>,
}

impl SiteFigures {
    /// Figures at zero, for a number of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: PerWorker::new(workers, |_| OnceLock::new()),
            recent: Mutex::new(RecentTotals::new(Instant::now())),
        }
    }

    /// Counts a request on this worker from now on.
    #[must_use]
    pub fn begin(&self, worker: usize) -> CountedRequest {
        let figures = self.workers[worker].get_or_init(Arc::default);
        CountedRequest::begin(Arc::clone(figures))
    }

    /// Returns the sums of all workers.
    #[must_use]
    pub fn totals(&self) -> RequestTotals {
        let mut sum = RequestTotals::default();
        for figures in self.workers.iter().filter_map(OnceLock::get) {
            sum.add(&figures.totals());
        }
        sum
    }

    /// Takes a sample for [`Self::recent`].
    pub fn sample(&self, now: Instant) {
        if self.workers.iter().all(|worker| worker.get().is_none()) {
            return;
        }
        let totals = WindowTotals::from(&self.totals());
        self.recent.lock().sample(now, totals);
    }

    /// Returns what was counted in about the last `length`, given the totals of now.
    #[must_use]
    pub fn recent(&self, length: std::time::Duration, totals: &RequestTotals) -> Window {
        let totals = WindowTotals::from(totals);
        self.recent.lock().over(length, Instant::now(), &totals)
    }
}

impl Default for SiteFigures {
    /// Figures for one worker.
    fn default() -> Self {
        Self::new(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_all_workers_are_summed() {
        let figures = SiteFigures::new(2);
        let one = figures.begin(0);
        let other = figures.begin(1);
        assert!(!Arc::ptr_eq(one.figures(), other.figures()));
        assert_eq!(figures.totals().in_flight(), 2);
        drop((one, other));
        assert_eq!(figures.totals().requests(), 2);
    }
}
