//! A bound TCP socket, which this process has bound or was given. Knows nothing of who accepts on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use super::bind_error::BindError;

/// Connections that the kernel queues while no slot is free.
const BACKLOG: i32 = 4096;

/// TCP keep-alive: silence after which a client is probed, and the interval of further probes.
pub(super) const PROBE_AFTER: Duration = Duration::from_secs(60);
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(15);

/// A socket that listens on one address.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address` once for each of `count` workers. The kernel spreads connections over them. `[::]` takes IPv4 clients
    /// too, and becomes `0.0.0.0` where there is no IPv6.
    pub fn bind(address: SocketAddr, count: usize) -> Result<Vec<Self>, BindError> {
        Self::bind_beside(&[], address, count)
    }

    /// Like [`Self::bind`], while this process still listens on its `own` addresses, which may overlap the new one.
    pub fn bind_beside(
        own: &[SocketAddr],
        address: SocketAddr,
        count: usize,
    ) -> Result<Vec<Self>, BindError> {
        let fail = |source| BindError::bind(address, source);
        let is_own = own.iter().any(|own| overlap(*own, address));
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

    /// Takes a socket that another process has bound, which listens from now on, too.
    pub fn adopt(socket: std::net::TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&probes())?;
        if !socket.is_listener()? {
            socket.listen(BACKLOG)?;
        }
        Ok(Self {
            socket: socket.into(),
            address,
        })
    }

    /// Makes `count` listeners, one for each worker, of the `sockets` of one address. Workers share a socket if there are fewer
    /// sockets than workers. If there are more, a worker has more than one: none may be closed, since its clients would be lost.
    pub fn share(mut sockets: Vec<Self>, count: usize) -> io::Result<Vec<Self>> {
        let own = sockets.len();
        for number in own..count {
            let shared = &sockets[number % own];
            sockets.push(Self {
                socket: shared.socket.try_clone()?,
                address: shared.address,
            });
        }
        Ok(sockets)
    }

    /// Returns the address, with the port that the system chose for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers the socket with the current runtime.
    pub fn open(self) -> io::Result<OpenListener> {
        Ok(OpenListener {
            socket: Arc::new(TcpListener::from_std(self.socket)?),
            address: self.address,
        })
    }
}

/// A listener that a runtime waits on. Its socket is closed when it is dropped.
#[derive(Debug)]
pub struct OpenListener {
    socket: Arc<TcpListener>,
    address: SocketAddr,
}

impl OpenListener {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.socket.accept().await
    }

    /// Returns the socket for another process, as long as the listener is open.
    #[must_use]
    pub fn socket(&self) -> ListenSocket {
        ListenSocket(Arc::downgrade(&self.socket))
    }
}

/// The socket of an [`OpenListener`]. Does not keep it open.
#[derive(Clone, Debug)]
pub struct ListenSocket(Weak<TcpListener>);

impl ListenSocket {
    /// Opens the socket once more, to hand it over. `None` if the listener is closed.
    pub fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        let open = self.0.upgrade();
        open.map(|socket| socket.as_fd().try_clone_to_owned())
            .transpose()
    }
}

/// Who else of this process may bind the address of a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Nobody,
    Workers,
}

/// Binds the first socket on an address. Returns it with its real port.
fn first(address: SocketAddr, is_own: bool) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    // With port sharing alone, a second proxy would take half of the clients of the first one.
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

/// `true` if a client could mean either of two addresses.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip = one.ip().to_canonical() == other.ip().to_canonical();
    let any_ip = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (same_ip || any_ip)
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
    // Accepted connections inherit these options, so each saves two system calls.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&probes())?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Tunnels and pausing responses have no deadline: only these probes find out that the client is gone.
fn probes() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_with_the_way_out() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = first[1].address();
        assert_ne!(address.port(), 0);
        for count in [1, 2] {
            let error = Listener::bind(address, count).unwrap_err();
            assert!(matches!(error, BindError::InUse { address: taken } if taken == address));
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
    async fn of_two_overlapping_listeners_the_closer_one_gets_the_connection() {
        let mut all = Listener::bind("[::]:0".parse().unwrap(), 1).unwrap();
        let all = all.remove(0);
        let own = all.address();
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, own.port()));
        let mut closer = Listener::bind_beside(&[own], loopback, 1).unwrap();
        let (all, closer) = (all.open().unwrap(), closer.remove(0).open().unwrap());
        for _ in 0..8 {
            let _client = TcpStream::connect(loopback).await.unwrap();
            closer.accept().await.unwrap();
            let other = TcpStream::connect(("127.0.0.2", own.port())).await;
            let _other = other.unwrap();
            all.accept().await.unwrap();
        }
    }

    #[test]
    fn a_port_that_is_taken_on_another_address_only_is_checked_for_other_programs() {
        let other = Listener::bind("127.0.0.2:0".parse().unwrap(), 2).unwrap();
        let taken = other[0].address();
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, taken.port()));
        assert!(Listener::bind_beside(&[own], taken, 2).is_err());
    }

    #[tokio::test]
    async fn an_adopted_socket_serves_all_workers_with_the_options_of_a_bound_one() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listeners = Listener::share(vec![Listener::adopt(socket).unwrap()], 3).unwrap();
        assert_eq!(listeners.len(), 3);
        for listener in listeners {
            let listener = listener.open().unwrap();
            assert_eq!(listener.address(), address);
            let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
            let accepted = accepted.unwrap().0;
            let accepted = socket2::SockRef::from(&accepted);
            assert!(accepted.keepalive().unwrap() && accepted.tcp_nodelay().unwrap());
            drop(client);
        }
    }

    #[tokio::test]
    async fn sockets_beyond_the_number_of_workers_stay_open() {
        let sockets = Listener::bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_eq!(Listener::share(sockets, 2).unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_socket_can_be_handed_over_until_its_listener_is_closed() {
        let mut listeners = Listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let listener = listeners.remove(0).open().unwrap();
        let (address, socket) = (listener.address(), listener.socket());
        let copy = socket.duplicate().unwrap().unwrap();
        drop(listener);
        assert!(socket.duplicate().unwrap().is_none());
        let copy = Listener::adopt(copy.into()).unwrap().open().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), copy.accept());
        assert!(client.is_ok() && accepted.is_ok());
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
