//! Weighted round-robin.

use std::sync::atomic::{AtomicU64, Ordering};

/// Virtual time that one request takes at a backend with a share of 1.
const ROUND: u64 = 1 << 32;

/// Round-robin state of one worker, in virtual time. A request keeps a backend busy for a time that is shorter the
/// larger its share is. The backend that is free first is next. Only one worker uses this state.
#[derive(Debug)]
pub(in crate::upstream) struct RoundRobin {
    now: AtomicU64,
    /// Time at which each backend is free again.
    due: Box<[AtomicU64]>,
}

impl RoundRobin {
    /// State for `count` backends, all of which are free.
    pub(in crate::upstream) fn new(count: usize) -> Self {
        Self {
            now: AtomicU64::new(0),
            due: (0..count).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Picks the next backend from these indices and shares. A backend that was missing for a while does not catch up.
    pub(in crate::upstream) fn next(
        &self,
        shares: impl Iterator<Item = (usize, u64)>,
    ) -> Option<usize> {
        let now = self.now.load(Ordering::Relaxed);
        let start = |index: usize| self.due[index].load(Ordering::Relaxed).max(now);
        let (next, share) = shares.min_by_key(|(index, _)| start(*index))?;
        let start = start(next);
        self.now.store(start, Ordering::Relaxed);
        self.due[next].store(start + ROUND / share.max(1), Ordering::Relaxed);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(round_robin: &RoundRobin, shares: &[u64], count: usize) -> Vec<usize> {
        let mut given = vec![0; shares.len()];
        for _ in 0..count {
            let present = shares.iter().copied().enumerate();
            let next = round_robin
                .next(present.filter(|(_, share)| *share > 0))
                .unwrap();
            given[next] += 1;
        }
        given
    }

    #[test]
    fn equal_backends_take_turns() {
        let round_robin = RoundRobin::new(3);
        let next = || round_robin.next([(0, 1000), (1, 1000), (2, 1000)].into_iter());
        let order: Vec<_> = (0..6).map(|_| next().unwrap()).collect();
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
        assert_eq!(round_robin.next(std::iter::empty()), None);
    }

    #[test]
    fn a_returning_backend_does_not_get_the_turns_that_it_missed() {
        let round_robin = RoundRobin::new(2);
        assert_eq!(run(&round_robin, &[1000, 0], 50), [50, 0]);
        assert_eq!(run(&round_robin, &[1000, 1000], 10), [5, 5]);
    }

    proptest! {
        /// At every moment, each backend has had its part of all requests, plus or minus one turn.
        #[test]
        fn each_backend_has_its_part_at_every_moment(
            weights in prop::collection::vec(1_u64..50, 1..8),
            count in 1_usize..400,
        ) {
            let round_robin = RoundRobin::new(weights.len());
            let shares: Vec<_> = weights.iter().map(|weight| weight * 1000).collect();
            let given = run(&round_robin, &shares, count);
            let all: u64 = weights.iter().sum();
            for (weight, given) in weights.iter().zip(given) {
                let part = count as f64 * *weight as f64 / all as f64;
                let bound = 1.0 + *weight as f64 / all as f64 * weights.len() as f64;
                prop_assert!((given as f64 - part).abs() <= bound, "{given} of {part}");
            }
        }
    }
}
