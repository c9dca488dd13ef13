//! A bound TCP port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;

use super::Error;

/// Connections that the kernel keeps while all of ours are taken.
const BACKLOG: i32 = 4096;

/// How long a connection may be silent before its client is probed, and how often then.
pub(super) const PROBE_AFTER: Duration = Duration::from_secs(60);
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(15);

/// Accepts connections on one address.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address` so often that `count` workers accept on it side by side, the kernel spreading
    /// connections over them; `[::]` takes IPv4 too, and falls back to it where there is no IPv6.
    pub fn bind(address: SocketAddr, count: usize) -> Result<Vec<Self>, Error> {
        Self::bind_beside(&[], address, count)
    }

    /// The same while this process still listens on `own`, which may be on the same port.
    pub fn bind_beside(
        own: &[SocketAddr],
        address: SocketAddr,
        count: usize,
    ) -> Result<Vec<Self>, Error> {
        let fail = |source| Error::bind(address, source);
        let is_own = own.iter().any(|own| own.port() == address.port());
        let (first, address) = first(address, is_own).map_err(fail)?;
        let mut listeners = vec![Self {
            socket: first,
            address,
        }];
        for _ in 1..count {
            let socket = bind(address, Sharing::Workers).map_err(fail)?;
            listeners.push(Self { socket, address });
        }
        Ok(listeners)
    }

    /// The address, with the port that was taken when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, for the runtime that this is called in.
    pub(super) fn open(self) -> io::Result<TcpListener> {
        TcpListener::from_std(self.socket)
    }
}

/// Whether a socket lets others of this process have its address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Nobody,
    Workers,
}

/// The first socket on an address, and the address with its real port.
fn first(address: SocketAddr, is_own: bool) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    // A second proxy would otherwise share the port of the first one, and take half of its clients.
    let free = match address.port() {
        0 => Ok(()),
        _ if is_own => Ok(()),
        _ => bind(address, Sharing::Nobody).map(drop),
    };
    let bound = free.and_then(|()| bind(address, Sharing::Workers));
    let socket = bound.or_else(|error| match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() && lacks_ipv6(&error) => bind(
            (Ipv4Addr::UNSPECIFIED, address.port()).into(),
            Sharing::Workers,
        ),
        _ => Err(error),
    })?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Workers)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // What is set here every accepted connection has, without a call of its own.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&probes())?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A tunnel or a response that pauses has no deadline: the kernel finds out that its client is gone.
fn probes() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn a_taken_port_is_refused_with_the_way_out() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = first[1].address();
        assert_ne!(address.port(), 0);
        for count in [1, 2] {
            let error = Listener::bind(address, count).unwrap_err();
            assert!(matches!(error, Error::InUse { address: taken } if taken == address));
            assert!(error.to_string().contains("in use by another program"));
        }
    }

    #[test]
    fn an_address_may_overlap_one_of_this_process() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let own = first[0].address();
        let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, own.port()));
        assert!(Listener::bind(all, 2).is_err());
        let beside = Listener::bind_beside(&[own], all, 2).unwrap();
        assert_eq!(beside[1].address(), all);
    }

    #[tokio::test]
    async fn the_unspecified_ipv6_address_takes_ipv4_clients_too() {
        let mut listeners = Listener::bind("[::]:0".parse().unwrap(), 1).unwrap();
        let listener = listeners.remove(0);
        let port = listener.address().port();
        let listener = listener.open().unwrap();
        let client = TcpStream::connect(("127.0.0.1", port));
        let (client, accepted) = tokio::join!(client, listener.accept());
        assert!(client.is_ok() && accepted.is_ok());
    }
}
