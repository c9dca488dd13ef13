//! Where this very proxy listens: a connection that leads there would make requests go round for ever.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use arc_swap::ArcSwap;

/// The addresses that the proxy itself listens on. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct OwnAddresses(Arc<ArcSwap<Vec<SocketAddr>>>);

impl OwnAddresses {
    /// Takes note of where the proxy listens from now on.
    pub fn set(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        self.0.store(Arc::new(addresses.into_iter().collect()));
    }

    /// Whether a connection between these two ends leads to the proxy itself.
    pub(super) fn are_reached(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let (local, ip) = (local.ip().to_canonical(), peer.ip().to_canonical());
        let is_met = |own: &SocketAddr| {
            own.port() == peer.port()
                && match own.ip().to_canonical() {
                    IpAddr::V4(own) if own.is_unspecified() => ip.is_ipv4() && is_here(local, ip),
                    IpAddr::V6(own) if own.is_unspecified() => is_here(local, ip),
                    own => own == ip,
                }
        };
        self.0.load().iter().any(is_met)
    }
}

/// Whether `peer`, which was connected to from `local`, is an address of this machine.
fn is_here(local: IpAddr, peer: IpAddr) -> bool {
    let nobody = match peer {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    // Some machines let a socket have any address: there the last question tells nothing.
    peer.is_loopback() || peer == local || (can_be_had(peer) && !can_be_had(nobody))
}

fn can_be_had(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(own: &str, local: &str, peer: &str) -> bool {
        let addresses = OwnAddresses::default();
        addresses.set(["192.0.2.200:80".parse().unwrap(), own.parse().unwrap()]);
        addresses.are_reached(local.parse().unwrap(), peer.parse().unwrap())
    }

    #[test]
    fn a_listener_is_met_at_its_own_address_and_port_only() {
        let local = "127.0.0.1:40000";
        assert!(reaches("127.0.0.2:443", local, "127.0.0.2:443"));
        assert!(!reaches("127.0.0.2:443", local, "127.0.0.1:443"));
        assert!(!reaches("127.0.0.2:443", local, "127.0.0.2:8443"));
        assert!(
            !OwnAddresses::default()
                .are_reached(local.parse().unwrap(), "127.0.0.1:443".parse().unwrap())
        );
    }

    #[test]
    fn a_listener_on_all_addresses_is_met_at_each_of_this_machine() {
        for own in ["0.0.0.0:443", "[::]:443"] {
            assert!(reaches(own, "127.0.0.1:40000", "127.0.0.7:443"), "{own}");
            assert!(reaches(own, "10.0.0.5:40000", "10.0.0.5:443"), "{own}");
            assert!(!reaches(own, "10.0.0.5:40000", "203.0.113.9:443"), "{own}");
        }
        assert!(reaches("[::]:443", "[::1]:40000", "[::1]:443"));
        assert!(!reaches("0.0.0.0:443", "[::1]:40000", "[::1]:443"));
        assert!(reaches("[::]:443", "[::1]:1", "[::ffff:127.0.0.1]:443"));
    }

    #[test]
    fn a_further_address_of_this_machine_is_known_by_that_it_can_be_had() {
        let away = "203.0.113.9:40000".parse::<SocketAddr>().unwrap().ip();
        assert!(can_be_had(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_here(away, "198.51.100.7".parse().unwrap()));
    }
}
