//! Free ports that no other process takes before their user binds them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

/// Below the ports that the system assigns to outgoing connections and for port 0, so that no such socket takes the
/// port between the drop of a reservation and the start of its user.
const RANGE: Range<u16> = 12_000..32_000;

/// A loopback port that is free for TCP and UDP. It is held until the reservation is dropped: drop it right before the spawn.
pub(crate) struct Reservation {
    address: SocketAddr,
    _tcp: TcpListener,
    _udp: UdpSocket,
}

impl Reservation {
    /// Reserves a port.
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

    /// Address for the user of the port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
