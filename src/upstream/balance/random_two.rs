//! Picks the less loaded of two random backends.

use super::candidates::Candidates;

/// Draws two backends at random by share, and picks the one with fewer requests in flight relative to its share.
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
    let (one, share) = draw(candidates.shares())?;
    let other = draw(candidates.shares().filter(|(index, _)| *index != one));
    // Multiplied crosswise, because an integer division would make small loads equal. The first draw wins a tie, since
    // only its chance is exactly its share.
    let is_less_loaded = |&(other, other_share): &(usize, u64)| {
        (load(other) as u64) * share < (load(one) as u64) * other_share
    };
    Some(other.filter(is_less_loaded).map_or(one, |(other, _)| other))
}

/// Returns two different random indices below `count`, which must be at least 2.
fn two_of(count: usize) -> (usize, usize) {
    let one = fastrand::usize(..count);
    let other = fastrand::usize(..count - 1);
    (one, if other >= one { other + 1 } else { other })
}

/// Draws one backend at random by share.
fn draw(shares: impl Iterator<Item = (usize, u64)>) -> Option<(usize, u64)> {
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
