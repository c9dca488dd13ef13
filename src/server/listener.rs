//! A bound TCP port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::Error;

/// Connections that the kernel keeps while all of ours are taken.
const BACKLOG: i32 = 4096;

/// Accepts connections on one address.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`; `[::]` takes IPv4 too, and falls back to it where there is no IPv6. Must be
    /// called inside the runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let bound = bind(address).or_else(|error| match address.ip() {
            IpAddr::V6(ip) if ip.is_unspecified() && lacks_ipv6(&error) => {
                bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
            }
            _ => Err(error),
        });
        let socket = bound.map_err(|source| Error::bind(address, source))?;
        let address = socket
            .local_addr()
            .map_err(|source| Error::bind(address, source))?;
        Ok(Self { socket, address })
    }

    /// The address, with the port that was taken when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.socket.accept().await
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_refused_with_the_way_out() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(first.address().port(), 0);
        let error = Listener::bind(first.address()).unwrap_err();
        assert!(matches!(error, Error::InUse { address } if address == first.address()));
        assert!(error.to_string().contains("in use by another program"));
    }

    #[tokio::test]
    async fn the_unspecified_ipv6_address_takes_ipv4_clients_too() {
        let listener = Listener::bind("[::]:0".parse().unwrap()).unwrap();
        let port = listener.address().port();
        let client = TcpStream::connect(("127.0.0.1", port));
        let (client, accepted) = tokio::join!(client, listener.accept());
        assert!(client.is_ok() && accepted.is_ok());
    }
}
