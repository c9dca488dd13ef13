//! Rendezvous hashing: the backend of a client depends only on the client and the available backends. When a backend
//! goes away, only its own clients move.

use std::net::IpAddr;

/// Mixes the bits of a number (the finalizer of SplitMix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Returns the number that represents a backend. It is the same in every process, so that several proxies agree.
pub(super) fn backend_seed(address: &str) -> u64 {
    let bytes = address.bytes();
    bytes.fold(0, |seed, byte| mix(seed ^ u64::from(byte)))
}

/// Returns the number that represents a client. Of an IPv6 address only the /64 network counts, because clients change
/// their address within it.
pub(in crate::upstream) fn client_seed(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => mix(u64::from(u32::from(ip))),
        IpAddr::V6(ip) => mix(u64::try_from(u128::from(ip) >> 64).unwrap_or_default()),
    }
}

/// A backend to which a client may go.
pub(in crate::upstream) struct Bidder {
    pub(in crate::upstream) index: usize,
    pub(in crate::upstream) seed: u64,
    pub(in crate::upstream) share: u64,
}

/// Returns the index of the highest bidder for `client`.
pub(in crate::upstream) fn highest_bidder(
    client: u64,
    bidders: impl Iterator<Item = Bidder>,
) -> Option<usize> {
    let bid = |seed: u64, share: u64| {
        // Uniform in the open interval from 0 to 1.
        let draw = ((mix(client ^ seed) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        share as f64 / -draw.ln()
    };
    bidders
        .map(|bidder| (bidder.index, bid(bidder.seed, bidder.share)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(client_ip: u32, backends: &[(usize, u64)]) -> usize {
        let client = client_seed(IpAddr::V4(client_ip.into()));
        let bidder = |(index, share)| Bidder {
            index,
            seed: backend_seed(&format!("10.0.0.{index}:3000")),
            share,
        };
        highest_bidder(client, backends.iter().copied().map(bidder)).unwrap()
    }

    #[test]
    fn all_addresses_of_one_client_have_the_same_seed() {
        let parse = |text: &str| client_seed(text.parse().unwrap());
        assert_eq!(parse("192.0.2.1"), parse("::ffff:192.0.2.1"));
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
    }

    #[test]
    fn clients_are_distributed_by_weight() {
        let backends = [(0, 1000), (1, 1000), (2, 2000)];
        let mut given = [0_i32; 3];
        for client in 0..40_000 {
            given[at(client, &backends)] += 1;
        }
        for (given, part) in given.into_iter().zip([10_000, 10_000, 20_000]) {
            assert!((given - part).abs() < part / 20, "{given} of {part}");
        }
    }

    proptest! {
        #[test]
        fn only_the_clients_of_a_lost_backend_move(
            ip in any::<u32>(),
            shares in prop::collection::vec(1_u64..5000, 2..9),
            gone in any::<prop::sample::Index>(),
        ) {
            let all: Vec<_> = shares.into_iter().enumerate().collect();
            let gone = gone.index(all.len());
            let left: Vec<_> = all.iter().copied().filter(|(index, _)| *index != gone).collect();
            let before = at(ip, &all);
            if before != gone {
                prop_assert_eq!(at(ip, &left), before);
            }
        }
    }
}
