//! Reachability of IP addresses from the internet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Range from which an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// From everywhere.
    Public,
    /// From its own network.
    Private,
    /// From its own machine.
    Loopback,
    /// From nowhere: reserved for examples.
    Documentation,
    /// From nowhere: not a unicast address.
    Reserved,
}

impl Reachability {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(ip) => of_v4(ip),
            IpAddr::V6(ip) => of_v6(ip),
        }
    }
}

impl fmt::Display for Reachability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "a loopback address",
            Self::Documentation => "a documentation address",
            Self::Reserved => "a reserved address",
        })
    }
}

fn of_v4(ip: Ipv4Addr) -> Reachability {
    let [a, b, ..] = ip.octets();
    let is_shared = a == 100 && b & 0xc0 == 64;
    let is_benchmark = a == 198 && b & 0xfe == 18;
    if ip.is_loopback() {
        Reachability::Loopback
    } else if ip.is_private() || ip.is_link_local() || is_shared {
        Reachability::Private
    } else if ip.is_documentation() {
        Reachability::Documentation
    } else if a == 0 || a >= 224 || is_benchmark {
        Reachability::Reserved
    } else {
        Reachability::Public
    }
}

fn of_v6(ip: Ipv6Addr) -> Reachability {
    let [a, b, ..] = ip.segments();
    let is_documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    // Only 2000::/3 and the translated IPv4 addresses of 64:ff9b::/96 are global unicast.
    let is_global = a & 0xe000 == 0x2000 || ip.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if ip.is_loopback() {
        Reachability::Loopback
    } else if ip.is_unique_local() || ip.is_unicast_link_local() {
        Reachability::Private
    } else if is_documentation {
        Reachability::Documentation
    } else if is_global {
        Reachability::Public
    } else {
        Reachability::Reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_global_addresses_are_public() {
        for (address, reach) in [
            ("9.9.9.9", Reachability::Public),
            ("2620:fe::9", Reachability::Public),
            ("64:ff9b::909:909", Reachability::Public),
            ("10.0.0.1", Reachability::Private),
            ("172.31.0.1", Reachability::Private),
            ("172.32.0.1", Reachability::Public),
            ("192.168.1.1", Reachability::Private),
            ("169.254.169.254", Reachability::Private),
            ("100.64.0.1", Reachability::Private),
            ("100.128.0.1", Reachability::Public),
            ("fd00::1", Reachability::Private),
            ("fe80::1", Reachability::Private),
            ("127.0.0.2", Reachability::Loopback),
            ("::1", Reachability::Loopback),
            ("::ffff:127.0.0.1", Reachability::Loopback),
            ("::ffff:9.9.9.9", Reachability::Public),
            ("192.0.2.1", Reachability::Documentation),
            ("198.51.100.1", Reachability::Documentation),
            ("203.0.113.1", Reachability::Documentation),
            ("2001:db8::1", Reachability::Documentation),
            ("3fff:fff::1", Reachability::Documentation),
            ("0.0.0.0", Reachability::Reserved),
            ("224.0.0.1", Reachability::Reserved),
            ("255.255.255.255", Reachability::Reserved),
            ("198.19.0.1", Reachability::Reserved),
            ("::", Reachability::Reserved),
            ("ff02::1", Reachability::Reserved),
        ] {
            assert_eq!(
                Reachability::of(address.parse().unwrap()),
                reach,
                "{address}"
            );
        }
    }
}
