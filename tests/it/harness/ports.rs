//! Free ports that nobody else takes before their user is there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

/// Below the ports that the system gives to outgoing connections and to those who ask for any: none of them slips in between
/// the drop of a reservation and its user.
const RANGE: Range<u16> = 12_000..32_000;

/// A loopback port, free for TCP and UDP, and held until the reservation is dropped: drop it right before the spawn.
pub(crate) struct Reservation {
    address: SocketAddr,
    _tcp: TcpListener,
    _udp: UdpSocket,
}

impl Reservation {
    /// Reserves some port.
    pub(crate) fn new() -> Self {
        for _ in 0..100 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(RANGE)));
            let bound = (TcpListener::bind(address), UdpSocket::bind(address));
            if let (Ok(tcp), Ok(udp)) = bound {
                return Self {
                    address,
                    _tcp: tcp,
                    _udp: udp,
                };
            }
        }
        panic!("no port is free for both TCP and UDP");
    }

    /// The address to give to the user of the port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
