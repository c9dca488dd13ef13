//! Whether a CA on the internet can reach an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who can reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody.
    Public,
    /// Its network.
    Private,
    /// Its own machine.
    Loopback,
    /// Nobody: it stands in examples only.
    Documentation,
    /// Nobody: it is no address of a machine.
    Reserved,
}

impl Reach {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(ip) => of_v4(ip),
            IpAddr::V6(ip) => of_v6(ip),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "a loopback address",
            Self::Documentation => "an address for documentation only",
            Self::Reserved => "a reserved address",
        })
    }
}

fn of_v4(ip: Ipv4Addr) -> Reach {
    let [a, b, ..] = ip.octets();
    let is_shared = a == 100 && b & 0xc0 == 64;
    let is_benchmark = a == 198 && b & 0xfe == 18;
    if ip.is_loopback() {
        Reach::Loopback
    } else if ip.is_private() || ip.is_link_local() || is_shared {
        Reach::Private
    } else if ip.is_documentation() {
        Reach::Documentation
    } else if a == 0 || a >= 224 || is_benchmark {
        Reach::Reserved
    } else {
        Reach::Public
    }
}

fn of_v6(ip: Ipv6Addr) -> Reach {
    let [a, b, ..] = ip.segments();
    let is_documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    // Only 2000::/3 and the translated IPv4 addresses of 64:ff9b::/96 are global unicast.
    let is_global = a & 0xe000 == 0x2000 || ip.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if ip.is_loopback() {
        Reach::Loopback
    } else if ip.is_unique_local() || ip.is_unicast_link_local() {
        Reach::Private
    } else if is_documentation {
        Reach::Documentation
    } else if is_global {
        Reach::Public
    } else {
        Reach::Reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_global_addresses_are_public() {
        for (address, reach) in [
            ("9.9.9.9", Reach::Public),
            ("2620:fe::9", Reach::Public),
            ("64:ff9b::909:909", Reach::Public),
            ("10.0.0.1", Reach::Private),
            ("172.31.0.1", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("192.168.1.1", Reach::Private),
            ("169.254.169.254", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("100.128.0.1", Reach::Public),
            ("fd00::1", Reach::Private),
            ("fe80::1", Reach::Private),
            ("127.0.0.2", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("::ffff:9.9.9.9", Reach::Public),
            ("192.0.2.1", Reach::Documentation),
            ("198.51.100.1", Reach::Documentation),
            ("203.0.113.1", Reach::Documentation),
            ("2001:db8::1", Reach::Documentation),
            ("3fff:fff::1", Reach::Documentation),
            ("0.0.0.0", Reach::Reserved),
            ("224.0.0.1", Reach::Reserved),
            ("255.255.255.255", Reach::Reserved),
            ("198.19.0.1", Reach::Reserved),
            ("::", Reach::Reserved),
            ("ff02::1", Reach::Reserved),
        ] {
            assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
        }
    }
}
