//! Arithmetic with the weights of backends.

use crate::upstream::dns::ResolvedIp;

/// Maximum number of parts into which one weight is divided.
const MAX_PARTS: u32 = 5040;

/// Reduces weights to the smallest numbers with the same ratios, and rounds them if they do not fit. Only 0 becomes 0.
pub(super) fn reduced(weights: Vec<u64>) -> Vec<u16> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    let most = weights.iter().max().map_or(0, |most| most / common);
    let fit = |weight: u64| {
        let weight = weight / common;
        let fit = match u16::try_from(most) {
            Ok(_) => weight,
            Err(_) => (weight * u64::from(u16::MAX) / most).max(weight.min(1)),
        };
        u16::try_from(fit).unwrap_or(u16::MAX)
    };
    weights.into_iter().map(fit).collect()
}

/// Returns the greatest common divisor.
fn gcd<T>(one: T, other: T) -> T
where
    T: Copy + Default + PartialEq + std::ops::Rem<Output = T>,
{
    if other == T::default() {
        one
    } else {
        gcd(other, one % other)
    }
}

/// Returns the number of parts into which each weight is divided, so that the addresses of each SRV target can share
/// its weight evenly. If this needs more than [`MAX_PARTS`], the addresses share it only nearly evenly.
pub(super) fn weight_parts<'a>(found: impl Iterator<Item = &'a Vec<ResolvedIp>>) -> u32 {
    let of_targets = found
        .flat_map(|found| by_target(found))
        .filter(|addresses| addresses[0].target().is_some());
    of_targets
        .map(saturating_len)
        .try_fold(1, |parts: u32, count| {
            let multiple = parts / gcd(parts, count) * count;
            (multiple <= MAX_PARTS).then_some(multiple)
        })
        .unwrap_or(MAX_PARTS)
}

/// Groups addresses by target. They must be in ascending order.
pub(super) fn by_target(found: &[ResolvedIp]) -> impl Iterator<Item = &[ResolvedIp]> {
    found.chunk_by(|one, other| one.target() == other.target())
}

pub(super) fn saturating_len(addresses: &[ResolvedIp]) -> u32 {
    u32::try_from(addresses.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_reduced_with_the_same_ratios() {
        for (weights, expected) in [
            (&[][..], &[][..]),
            (&[0, 0], &[0, 0]),
            (&[5], &[1]),
            (&[120, 60, 0, 180], &[2, 1, 0, 3]),
            (&[65535, 1], &[65535, 1]),
            (&[65536 * 65535, 65536, 32768], &[65535, 1, 1]),
        ] {
            assert_eq!(reduced(weights.to_vec()), expected, "{weights:?}");
        }
        let most = u64::from(u16::MAX) * u64::from(u16::MAX) * 5040;
        assert_eq!(reduced(vec![most, most / 3]), [3, 1]);
    }
}
