//! Bound UDP sockets, one for each worker.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

/// Bytes that the kernel keeps for a socket in either direction, as far as the system allows it. A worker that does something
/// else for some milliseconds loses no datagrams.
const BUFFER: usize = 2 * 1024 * 1024;

/// A UDP socket.
#[derive(Debug)]
pub struct UdpListener {
    pub(super) socket: UdpSocket,
}

impl UdpListener {
    /// Binds `address` once for each of `count` workers. The kernel spreads clients over them by their addresses.
    pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<Self>> {
        // With port sharing alone, a second program would take half of the clients of the first one.
        if address.port() != 0 {
            bind(address, false)?;
        }
        let first = bind(address, true)?;
        let address = first.local_addr()?;
        let mut sockets = vec![Self { socket: first }];
        for _ in 1..count {
            let socket = bind(address, true)?;
            sockets.push(Self { socket });
        }
        Ok(sockets)
    }

    /// Takes a socket that another process has bound.
    pub fn adopt(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Makes `count` sockets, one for each worker, of those of one address. Workers share a socket if there are fewer. If there
    /// are more, a worker has more than one.
    pub fn share(mut sockets: Vec<Self>, count: usize) -> io::Result<Vec<Self>> {
        let own = sockets.len();
        for number in own..count {
            let shared = sockets[number % own].duplicate()?;
            sockets.push(shared);
        }
        Ok(sockets)
    }

    /// Opens the socket once more.
    pub fn duplicate(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        Ok(Self { socket })
    }

    /// Returns the address, with the port that the system chose for port 0.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl From<UdpListener> for OwnedFd {
    fn from(listener: UdpListener) -> Self {
        listener.socket.into()
    }
}

fn bind(address: SocketAddr, is_shared: bool) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(is_shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // The system may allow less.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Returns the address by which a client's address is known, whichever the family of the socket.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Returns any address of the family of `address`, where the system does not tell the real one.
pub(super) fn unspecified(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_an_address_and_other_programs_do_not() {
        let sockets = UdpListener::bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = sockets[0].address().unwrap();
        for socket in &sockets {
            assert_eq!(socket.address().unwrap(), address);
        }
        let error = UdpListener::bind(address, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(sockets);
        assert!(UdpListener::bind(address, 1).is_ok());
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address() {
        let mapped = "[::ffff:192.0.2.7]:443".parse().unwrap();
        assert_eq!(canonical(mapped), "192.0.2.7:443".parse().unwrap());
    }
}
