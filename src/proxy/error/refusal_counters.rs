//! Counters of refusals by reason, kept for each worker so that no two cores write to one cache line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::reason::Reason;
use crate::per_worker::CachePadded;

/// Refusals of all workers since the process began, across reloads. Clones share the counters.
#[derive(Clone, Debug)]
pub struct RefusalCounters {
    workers: Arc<[Arc<WorkerRefusals>]>,
    home: Arc<WorkerRefusals>,
}

/// Refusals of one worker.
#[derive(Debug)]
pub struct WorkerRefusals(CachePadded<[AtomicU64; Reason::ALL.len()]>);

impl RefusalCounters {
    /// Creates counters at zero for `workers` workers and for the runtime that starts them.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            home: Arc::default(),
        }
    }

    /// Counters of the worker with this number.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> &Arc<WorkerRefusals> {
        self.workers.get(worker).unwrap_or(&self.home)
    }

    /// Counters of the runtime that starts the workers.
    #[must_use]
    pub fn of_home(&self) -> &Arc<WorkerRefusals> {
        &self.home
    }

    /// Totals for every reason, zeros included.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        let counters = || self.workers.iter().chain([&self.home]);
        let count = move |reason| counters().map(|counter| counter.of(reason)).sum();
        Reason::ALL
            .iter()
            .map(move |reason| (*reason, count(*reason)))
    }

    /// Totals above zero, the most frequent reason first.
    #[must_use]
    pub fn by_reason(&self) -> Vec<(Reason, u64)> {
        let mut counts: Vec<_> = self.counts().filter(|(_, count)| *count > 0).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

impl WorkerRefusals {
    /// Counts one more refusal.
    pub fn count(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }
}

impl Default for WorkerRefusals {
    fn default() -> Self {
        Self(CachePadded::new(
            [const { AtomicU64::new(0) }; Reason::ALL.len()],
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_all_runtimes_are_summed_and_sorted_by_frequency() {
        let refusals = RefusalCounters::new(2);
        assert_eq!(refusals.by_reason(), []);
        refusals.of_worker(0).count(Reason::Host);
        refusals.of_worker(0).count(Reason::Idle);
        refusals.of_worker(1).count(Reason::Idle);
        refusals.of_home().count(Reason::UnknownHost);
        let counts = [
            (Reason::Idle, 2),
            (Reason::Host, 1),
            (Reason::UnknownHost, 1),
        ];
        assert_eq!(refusals.by_reason(), counts);
    }

    #[test]
    fn each_runtime_writes_to_its_own_cache_lines() {
        let refusals = RefusalCounters::new(2);
        assert!(!Arc::ptr_eq(refusals.of_worker(0), refusals.of_worker(1)));
        assert!(!Arc::ptr_eq(refusals.of_worker(1), refusals.of_home()));
        assert_eq!(align_of::<WorkerRefusals>(), 128);
    }

    #[test]
    fn every_reason_has_its_own_counter() {
        let refusals = RefusalCounters::new(1);
        for reason in Reason::ALL {
            refusals.of_home().count(*reason);
        }
        let counts: Vec<_> = Reason::ALL.iter().map(|reason| (*reason, 1)).collect();
        assert_eq!(refusals.by_reason(), counts);
    }
}
