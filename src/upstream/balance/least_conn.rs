//! The backend with the fewest requests and tunnels in flight for its share.

use std::cmp::Ordering;

/// Picks the one that one more request would load least for its share; of several, one at random. If that one is idle, one is
/// picked at random from all that are idle: otherwise the largest would get all requests of a quiet hour.
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
            idle = Some(lot(idle, candidate));
        }
        let order = best.as_ref().map(|(best, _)| candidate.compare(best));
        match order {
            None | Some(Ordering::Less) => best = Some((candidate, share)),
            Some(Ordering::Equal) => best = Some(lot(best, candidate)),
            Some(Ordering::Greater) => {}
        }
    }
    let (best, _) = best?;
    let idle = idle.filter(|_| best.load == 0);
    Some(idle.map_or(best.index, |(idle, _)| idle.index))
}

/// One that may be the least loaded.
#[derive(Clone, Copy)]
struct Candidate {
    index: usize,
    load: u64,
    share: u64,
}

impl Candidate {
    /// Compared crosswise: a division would make small loads equal.
    fn compare(&self, other: &Self) -> Ordering {
        let (one, other) = ((self.load + 1) * other.share, (other.load + 1) * self.share);
        one.cmp(&other)
    }
}

/// Draws between the winner so far, with the sum of all shares up to it, and one more.
fn lot(winner: Option<(Candidate, u64)>, one: Candidate) -> (Candidate, u64) {
    let sum = winner.map_or(0, |(_, sum)| sum) + one.share;
    match winner.filter(|_| fastrand::u64(..sum) >= one.share) {
        Some((winner, _)) => (winner, sum),
        None => (one, sum),
    }
}
