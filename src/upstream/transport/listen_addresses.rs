//! Addresses on which the proxy itself listens. A backend connection to one of them would be a loop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Addresses on which the proxy itself listens. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ListenAddresses(Arc<ArcSwap<Vec<SocketAddr>>>);

impl ListenAddresses {
    /// Sets the addresses on which the proxy listens from now on.
    pub fn set(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        self.0.store(Arc::new(addresses.into_iter().collect()));
    }

    /// `true` if a connection to `peer` reaches the proxy itself.
    pub(in crate::upstream) fn are_reached(&self, peer: SocketAddr) -> bool {
        self.0.load().iter().any(|own| is_listener(*own, peer))
    }
}

/// `true` if a connection to `target` certainly reaches `listener`.
///
/// For a listener on all addresses, only loopback addresses are certain. The kernel may forward connections to the
/// machine's other addresses, for example for cluster services and published container ports, and the socket does not
/// show this.
#[must_use]
pub fn is_listener(listener: SocketAddr, target: SocketAddr) -> bool {
    let (own, ip) = (listener.ip().to_canonical(), connected(target.ip()));
    listener.port() == target.port()
        && match own {
            IpAddr::V4(own) if own.is_unspecified() => ip.is_ipv4() && ip.is_loopback(),
            IpAddr::V6(own) if own.is_unspecified() => ip.is_loopback(),
            own => own == ip,
        }
}

/// Returns the address that a connection to `ip` reaches. For an unspecified address, this is the loopback address.
fn connected(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(own: &str, peer: &str) -> bool {
        let addresses = ListenAddresses::default();
        addresses.set(["192.0.2.200:80".parse().unwrap(), own.parse().unwrap()]);
        addresses.are_reached(peer.parse().unwrap())
    }

    #[test]
    fn a_listener_is_only_reached_at_its_own_address_and_port() {
        assert!(reaches("127.0.0.2:443", "127.0.0.2:443"));
        assert!(reaches("10.0.0.5:443", "10.0.0.5:443"));
        assert!(reaches("[::ffff:127.0.0.1]:443", "127.0.0.1:443"));
        assert!(reaches("127.0.0.1:443", "0.0.0.0:443"));
        assert!(!reaches("127.0.0.2:443", "127.0.0.1:443"));
        assert!(!reaches("127.0.0.2:443", "127.0.0.2:8443"));
        assert!(!ListenAddresses::default().are_reached("127.0.0.1:443".parse().unwrap()));
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_at_loopback_addresses() {
        for own in ["0.0.0.0:443", "[::]:443"] {
            for peer in ["127.0.0.1:443", "127.0.0.7:443", "0.0.0.0:443"] {
                assert!(reaches(own, peer), "{own} {peer}");
            }
            assert!(!reaches(own, "127.0.0.1:8443"), "{own}");
        }
        for peer in ["[::1]:443", "[::]:443"] {
            assert!(reaches("[::]:443", peer), "{peer}");
            assert!(!reaches("0.0.0.0:443", peer), "{peer}");
        }
        assert!(reaches("[::]:443", "[::ffff:127.0.0.1]:443"));
    }

    #[test]
    fn addresses_that_may_be_forwarded_do_not_count_as_reaching_the_listener() {
        for own in ["0.0.0.0:443", "[::]:443"] {
            for peer in ["10.96.0.1:443", "203.0.113.9:443", "[fd00::1]:443"] {
                assert!(!reaches(own, peer), "{own} {peer}");
            }
        }
    }
}
