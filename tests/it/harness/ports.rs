//! Free ports that no other process takes before their user binds them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

use socket2::{Domain, Socket, Type};

/// Ports below those that the system assigns to outgoing connections and for port 0, so that no such socket takes a
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

/// Returns an address of this machine that is not a loopback one, if it has one. Nothing is sent.
pub(crate) fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

/// Ports of a proxy that is not started yet, so that a CA can be told of them. They are bound
/// but do not listen, which keeps other processes off and lets the proxy bind them too.
pub(crate) struct ProxyPorts {
    http: Socket,
    https: Socket,
}

impl ProxyPorts {
    pub(crate) fn reserve() -> Self {
        Self::reserve_at(Ipv4Addr::LOCALHOST.into())
    }

    /// Reserves ports of this address.
    pub(crate) fn reserve_at(ip: IpAddr) -> Self {
        let address = SocketAddr::new(ip, 0);
        let bind = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&address.into()).unwrap();
            socket
        };
        Self {
            http: bind(),
            https: bind(),
        }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http.local_addr().unwrap().as_socket().unwrap()
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.https.local_addr().unwrap().as_socket().unwrap()
    }
}
