//! Picks the backend with the fewest requests and tunnels in flight, relative to its share.

use std::cmp::Ordering;

/// Picks the backend whose load, relative to its share, would be lowest with one more request. Ties are broken at
/// random.
///
/// If that backend is idle, picks one at random from all idle backends. Otherwise, the one with the largest share would
/// get all requests while there is little load.
pub(super) fn least_conn(
    shares: impl Iterator<Item = (usize, u64)>,
    load: impl Fn(usize) -> usize,
) -> Option<usize> {
    let mut best: Option<(Candidate, u64)> = None;
    let mut idle: Option<(Candidate, u64)> = None;
    for (index, share) in shares {
        let load = load(index) as u64;
        let candidate = Candidate { index, load, share };
        if load == 0 {
            idle = Some(draw(idle, candidate));
        }
        let order = best.as_ref().map(|(best, _)| candidate.compare(best));
        match order {
            None | Some(Ordering::Less) => best = Some((candidate, share)),
            Some(Ordering::Equal) => best = Some(draw(best, candidate)),
            Some(Ordering::Greater) => {}
        }
    }
    let (best, _) = best?;
    let idle = idle.filter(|_| best.load == 0);
    Some(idle.map_or(best.index, |(idle, _)| idle.index))
}

/// A backend that may be the least loaded.
#[derive(Clone, Copy)]
struct Candidate {
    index: usize,
    load: u64,
    share: u64,
}

impl Candidate {
    /// Compares loads relative to shares. Multiplies crosswise, because an integer division would make small loads
    /// equal.
    fn compare(&self, other: &Self) -> Ordering {
        let (one, other) = ((self.load + 1) * other.share, (other.load + 1) * self.share);
        one.cmp(&other)
    }
}

/// Draws at random, by share, between one more candidate and the winner of earlier draws with the sum of their shares.
/// Returns the new winner and sum.
fn draw(winner: Option<(Candidate, u64)>, one: Candidate) -> (Candidate, u64) {
    let sum = winner.map_or(0, |(_, sum)| sum) + one.share;
    match winner.filter(|_| fastrand::u64(..sum) >= one.share) {
        Some((winner, _)) => (winner, sum),
        None => (one, sum),
    }
}
