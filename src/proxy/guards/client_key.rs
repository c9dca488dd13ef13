//! Who counts as one client.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or the /64 network of an IPv6 address, all of which one client can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(u128);

impl ClientKey {
    /// The client of this address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(network(address)),
        }
    }
}

fn network(address: Ipv6Addr) -> u128 {
    address.to_bits() >> 64 << 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_one(a: &str, b: &str) -> bool {
        ClientKey::of(a.parse().unwrap()) == ClientKey::of(b.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        assert!(is_one("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(!is_one("192.0.2.7", "192.0.2.8"));
        assert!(is_one("2001:db8::7", "2001:db8::ffff:ffff:ffff:ffff"));
        assert!(!is_one("2001:db8::7", "2001:db8:0:1::7"));
        assert!(!is_one("0.0.0.0", "::"));
    }
}
