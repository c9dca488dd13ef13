//! State that each worker has its own of, on cache lines of its own. Knows no room.

use std::ops::Index;
use std::slice;

pub use crossbeam_utils::CachePadded;

/// One `T` for each worker, found by the worker's number.
///
/// The table itself is only read. Whatever a worker writes to on the request path must lie in a [`CachePadded`], so that no
/// two cores write to one cache line:
///
/// - `PerWorker<CachePadded<T>>` where only the worker itself uses its `T`,
/// - `PerWorker<Arc<CachePadded<T>>>` where its requests hold on to it: cloning the `Arc` is a write too,
/// - `PerWorker<ArcSwap<CachePadded<T>>>` where a reload replaces it.
#[derive(Clone, Debug)]
pub struct PerWorker<T>(Box<[T]>);

impl<T> PerWorker<T> {
    /// Calls `new` once for each worker, at least once.
    #[must_use]
    pub fn new(workers: usize, new: impl FnMut(usize) -> T) -> Self {
        Self((0..workers.max(1)).map(new).collect())
    }

    /// Iterates over the state of all workers, for sums and for reloads.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T> Index<usize> for PerWorker<T> {
    type Output = T;

    /// Returns the state of the worker with this number. Numbers that are too large start again at the first worker.
    fn index(&self, worker: usize) -> &T {
        &self.0[worker % self.0.len()]
    }
}

impl<'a, T> IntoIterator for &'a PerWorker<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> FromIterator<T> for PerWorker<T> {
    /// Takes one value for each worker.
    ///
    /// # Panics
    ///
    /// If there is none.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let values: Box<[T]> = values.into_iter().collect();
        assert!(!values.is_empty(), "there is at least one worker");
        Self(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_finds_a_worker() {
        let counts = PerWorker::new(2, |worker| CachePadded::new(worker * 10));
        assert_eq!([0, 1, 2, 3].map(|worker| *counts[worker]), [0, 10, 0, 10]);
        assert_eq!(*PerWorker::new(0, |worker| worker).index(7), 0);
    }

    #[test]
    fn no_two_workers_share_a_cache_line() {
        let counts = PerWorker::new(2, |_| CachePadded::new(0_u8));
        let [one, other] = [0, 1].map(|worker| std::ptr::from_ref(&counts[worker]).addr());
        assert!(other - one >= 64);
    }
}
