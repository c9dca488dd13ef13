//! Free ports that nobody else takes before their user is there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

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
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = tcp.local_addr().unwrap();
            if let Ok(udp) = UdpSocket::bind(address) {
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
