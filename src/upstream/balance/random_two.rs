//! Of two backends picked at random, the one with fewer requests in flight.

use super::candidates::Candidates;

/// Picks the one with fewer requests in flight of two backends that are drawn by share.
pub(super) fn random_two(candidates: &Candidates<'_>) -> Option<usize> {
    let count = candidates.backends.len();
    let load = |index: usize| {
        candidates.backends[index]
            .lane(candidates.worker)
            .in_flight()
    };
    if candidates.is_even && candidates.tried.is_empty() && count > 1 {
        let (one, other) = two_of(count);
        if candidates.is_unrestricted(one) && candidates.is_unrestricted(other) {
            return Some(if load(other) < load(one) { other } else { one });
        }
    }
    let (one, share) = drawn(candidates.shares())?;
    let other = drawn(candidates.shares().filter(|(index, _)| *index != one));
    // Compared crosswise: a division would make small loads equal. A tie goes to the one that was drawn by share.
    let is_freer = |&(other, other_share): &(usize, u64)| {
        (load(other) as u64) * share < (load(one) as u64) * other_share
    };
    Some(other.filter(is_freer).map_or(one, |(other, _)| other))
}

/// Two different indices below `count`, which is at least 2.
fn two_of(count: usize) -> (usize, usize) {
    let one = fastrand::usize(..count);
    let other = fastrand::usize(..count - 1);
    (one, if other >= one { other + 1 } else { other })
}

/// Draws one at random, by the shares.
fn drawn(shares: impl Iterator<Item = (usize, u64)>) -> Option<(usize, u64)> {
    let mut sum = 0;
    shares.fold(None, |drawn, (index, share)| {
        sum += share;
        if fastrand::u64(..sum) < share {
            Some((index, share))
        } else {
            drawn
        }
    })
}
