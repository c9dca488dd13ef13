//! Making a connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::address::{Address, Place, Protocol};
use super::backend::InFlight;
use super::connection::{Connection, ConnectionLease};
use super::error::Error;
use super::exchange::HEAD_SIZE;
use super::http2::{Http2, StreamLease};
use super::lease::Lease;
use super::means::Means;
use super::options::Options;
use super::own_addresses::OwnAddresses;
use super::tls::{TlsClient, TlsError};
use super::wire::{Stream, Wire};
use crate::name::HostName;
use crate::tasks::Tasks;

/// How long a connection may be silent before its other end is probed, and how often then.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// How long one address may take before the next one is tried beside it.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// How long the queue of a unix socket is left alone when it is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// What a request asks of its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs<'a> {
    /// It may switch protocols, which only HTTP/1.1 does here.
    pub(super) is_upgrade: bool,
    /// It must be a new one.
    pub(super) is_fresh: bool,
    /// What it begins with, before TLS and all else. It then belongs to the client that it is made for, and carries this
    /// request only.
    pub(super) greeting: Option<&'a [u8]>,
}

impl Needs<'_> {
    /// Whether no other request may share the connection.
    fn is_alone(&self) -> bool {
        self.is_upgrade || self.greeting.is_some()
    }
}

/// Makes the connections of one upstream.
#[derive(Debug)]
pub(super) struct Dialer {
    timeout: Duration,
    places: Arc<Semaphore>,
    tasks: Tasks,
    /// There whenever an address needs it.
    tls: Option<TlsClient>,
    has_http2: bool,
    own_addresses: OwnAddresses,
}

impl Dialer {
    /// A dialer for these addresses. Reads what TLS needs if one of them is behind it.
    pub(super) fn new(
        addresses: &[Address],
        options: &Options,
        means: &Means,
    ) -> Result<Self, TlsError> {
        let has = |protocol| {
            addresses
                .iter()
                .any(|address| address.protocol() == protocol)
        };
        let has_tls = has(Protocol::Https);
        let tls = has_tls.then(|| TlsClient::load(&options.tls, &means.system_roots));
        Ok(Self {
            timeout: options.connect_timeout,
            places: Arc::clone(&means.places),
            tasks: means.tasks.clone(),
            tls: tls.transpose()?,
            has_http2: has_tls || has(Protocol::H2c),
            own_addresses: means.own_addresses.clone(),
        })
    }

    /// Whether the files that TLS needs, and the system's roots, hold what they held when they were read.
    pub(super) fn is_current(&self, options: &Options, means: &Means) -> Result<bool, TlsError> {
        match &self.tls {
            Some(tls) => Ok(TlsClient::load(&options.tls, &means.system_roots)? == *tls),
            None => Ok(true),
        }
    }

    /// Whether any backend may speak HTTP/2.
    pub(super) fn has_http2(&self) -> bool {
        self.has_http2
    }

    /// Whether what one of them takes for the backend at `address`, the other one does too.
    pub(super) fn trusts_like(&self, other: &Self, address: &Address) -> bool {
        address.protocol() != Protocol::Https || self.tls == other.tls
    }

    /// A new connection to the backend, or room on one that another request has opened meanwhile.
    pub(super) async fn connect(
        &self,
        in_flight: InFlight,
        needs: Needs<'_>,
    ) -> Result<Lease, Error> {
        let address = in_flight.address();
        if needs.is_upgrade && address.protocol() == Protocol::H2c {
            let backend = address.clone();
            return Err(Error::NoUpgrade { backend });
        }
        let pool = in_flight.pool().clone();
        let asked = Instant::now();
        // Those before may wait for a backend that never accepts, one after the other.
        let turn = async {
            match needs.is_alone() {
                true => None,
                false => pool.open_shared(address).await,
            }
        };
        let late = |_| Error::ConnectTimeout {
            backend: address.clone(),
        };
        let opening = timeout(self.timeout, turn).await.map_err(late)?;
        if opening.is_some()
            && let Some(http2) = pool.roomiest(needs.is_fresh.then_some(asked))
        {
            let is_reused = !needs.is_fresh;
            return Ok(Lease::Stream(StreamLease::new(http2, in_flight, is_reused)));
        }
        match timeout(self.timeout, self.place()).await {
            Ok(Ok(place)) => self.open(in_flight, needs, place).await,
            Ok(Err(_)) | Err(_) => Err(Error::NoPlace),
        }
    }

    /// Room for one more connection, however long that takes.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.places).acquire_owned().await
    }

    /// A new connection to the backend in this place.
    pub(super) async fn open(
        &self,
        in_flight: InFlight,
        needs: Needs<'_>,
        place: OwnedSemaphorePermit,
    ) -> Result<Lease, Error> {
        let address = in_flight.address().clone();
        let dialed = timeout(self.timeout, self.dial(&address, needs)).await;
        let dialed = dialed.map_err(|_| Error::ConnectTimeout {
            backend: address.clone(),
        })??;
        let heard = Arc::new(AtomicBool::new(false));
        let wire = Wire::new(dialed.stream, Arc::clone(&heard), place);
        if dialed.is_http2 {
            let http2 = Http2::handshake(wire, &self.tasks).await;
            let http2 = http2.map_err(|error| Error::exchange(&address, error))?;
            if !needs.is_alone() {
                in_flight.pool().share(&http2);
            }
            return Ok(Lease::Stream(StreamLease::new(http2, in_flight, false)));
        }
        if !needs.is_alone() {
            in_flight.pool().share_none();
        }
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_SIZE)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| Error::exchange(&address, error))?;
        let driver = Box::pin(connection.with_upgrades());
        let connection = Connection::new(sender, driver, heard);
        let mut lease = ConnectionLease::fresh(connection, in_flight);
        if needs.greeting.is_some() {
            lease.make_last();
        }
        Ok(Lease::Connection(lease))
    }

    async fn dial(&self, address: &Address, needs: Needs<'_>) -> Result<Dialed, Error> {
        let (host, port) = match address.place() {
            Place::Unix(path) => {
                let stream = open_unix(path).await;
                let mut stream = stream.map_err(|source| refused(address, source))?;
                greet(address, &mut stream, needs.greeting).await?;
                return Ok(Dialed {
                    stream: Stream::Unix(stream),
                    is_http2: false,
                });
            }
            Place::Tcp(host, port) => (host, *port),
            // Its members are backends, and it is none itself.
            Place::Service(_) => {
                return Err(Error::Resolve {
                    backend: address.clone(),
                    source: io::ErrorKind::NotFound.into(),
                });
            }
        };
        let mut stream = dial_host(address, host, port).await?;
        self.check_end(address, &stream)?;
        greet(address, &mut stream, needs.greeting).await?;
        let Some(tls) = self
            .tls
            .as_ref()
            .filter(|_| address.protocol() == Protocol::Https)
        else {
            return Ok(Dialed {
                stream: Stream::Tcp(stream),
                is_http2: address.protocol() == Protocol::H2c,
            });
        };
        let certified = address.certified().unwrap_or(host);
        let stream = tls.connect(stream, certified, needs.is_upgrade).await;
        let stream = stream.map_err(|error| match needs.is_upgrade && knows_no_http1(&error) {
            true => Error::NoUpgrade {
                backend: address.clone(),
            },
            false => Error::handshake(address, error),
        })?;
        Ok(Dialed {
            is_http2: stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            stream: Stream::Tls(Box::new(stream)),
        })
    }

    /// Refuses a connection to the proxy itself, whatever name has led there.
    fn check_end(&self, address: &Address, stream: &TcpStream) -> Result<(), Error> {
        let peer = stream.peer_addr();
        let peer = peer.map_err(|source| refused(address, source))?;
        match self.own_addresses.are_reached(peer) {
            true => Err(Error::Loop {
                backend: address.clone(),
            }),
            false => Ok(()),
        }
    }
}

struct Dialed {
    stream: Stream,
    is_http2: bool,
}

/// Whether a handshake that offered HTTP/1.1 alone was refused for that (RFC 7301 section 3.2).
fn knows_no_http1(error: &io::Error) -> bool {
    let source = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        source,
        Some(rustls::Error::AlertReceived(
            AlertDescription::NoApplicationProtocol
        ))
    )
}

fn refused(address: &Address, source: io::Error) -> Error {
    Error::Connect {
        backend: address.clone(),
        source,
    }
}

async fn greet(
    address: &Address,
    stream: &mut (impl AsyncWrite + Unpin),
    greeting: Option<&[u8]>,
) -> Result<(), Error> {
    match greeting {
        Some(greeting) => stream
            .write_all(greeting)
            .await
            .map_err(|source| refused(address, source)),
        None => Ok(()),
    }
}

/// Connects to the one IP address that `address` leads to, or else to the first of this machine's own that accepts.
async fn dial_host(address: &Address, host: &HostName, port: u16) -> Result<TcpStream, Error> {
    let unresolved = |source| Error::Resolve {
        backend: address.clone(),
        source,
    };
    let accepted = match address.ip() {
        Some(ip) => open((ip, port).into()).await.map_err(Some),
        None => {
            let found = lookup_host((host.as_str(), port)).await;
            first_to_accept(found.map_err(unresolved)?).await
        }
    };
    accepted.map_err(|error| match error {
        None => unresolved(io::ErrorKind::NotFound.into()),
        Some(source) => refused(address, source),
    })
}

/// Tries the addresses in their order, the next one when the last has failed or is slow to accept
/// (RFC 8305 section 5). Returns what the last failure said, if there was any address.
async fn first_to_accept(
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<TcpStream, Option<io::Error>> {
    let mut addresses = addresses.peekable();
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        attempts.extend(addresses.next().map(open));
        let delay = async {
            match addresses.peek() {
                Some(_) => sleep(NEXT_ADDRESS).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = attempts.next() => match outcome {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = Some(error),
                None => return Err(last),
            },
            () = delay => {}
        }
    }
}

/// Connects to a unix socket, if need be when its queue has room again: where TCP waits by itself, the system only says that
/// the queue is full.
async fn open_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_PAUSE).await,
            outcome => return outcome,
        }
    }
}

async fn open(socket: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(socket).await?;
    stream.set_nodelay(true)?;
    // A response may pause for hours: what tells a pause from a dead machine is the kernel's probes.
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, SockAddr, Socket, Type};
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::backend::Lane;
    use crate::upstream::pool::Pool;

    /// A listener whose queue is full: who connects hears nothing.
    async fn black_hole() -> (Socket, Vec<TcpStream>, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        let patience = Duration::from_millis(100);
        while let Ok(stream) = timeout(patience, TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (socket, queued, address)
    }

    #[tokio::test]
    async fn an_address_that_hears_nothing_does_not_keep_the_next_one_waiting() {
        let (_socket, _queued, silent) = black_hole().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let connecting = first_to_accept([silent, silent, good].into_iter());
        let stream = timeout(Duration::from_secs(3), connecting).await;
        assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), good);
    }

    /// A request to a backend that nobody has a connection to.
    fn request_to(address: &Address) -> (Dialer, impl Fn() -> InFlight) {
        let means = Means::new(Tasks::new());
        let options = Options {
            connect_timeout: Duration::from_millis(100),
            ..Options::default()
        };
        let dialer = Dialer::new(std::slice::from_ref(address), &options, &means).unwrap();
        let lane = Lane::new(address, Pool::new(options.idle_timeout, means.tasks));
        (dialer, move || InFlight::enter(&lane, None))
    }

    #[tokio::test]
    async fn those_who_would_share_a_connection_do_not_wait_for_each_others_time_outs() {
        let (_socket, _queued, silent) = black_hole().await;
        let address = Address::parse(&format!("h2c://{silent}")).unwrap();
        let (dialer, request) = request_to(&address);
        let needs = Needs {
            is_upgrade: false,
            is_fresh: false,
            greeting: None,
        };
        let start = Instant::now();
        let all = (0..20).map(|_| dialer.connect(request(), needs));
        for outcome in futures_util::future::join_all(all).await {
            assert!(matches!(outcome, Err(Error::ConnectTimeout { .. })));
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = closed.local_addr().unwrap();
        drop(closed);
        let many = std::iter::repeat_n(refusing, 20).chain([good]);
        let stream = timeout(10 * NEXT_ADDRESS, first_to_accept(many)).await;
        assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), good);
        let error = first_to_accept([refusing].into_iter()).await.unwrap_err();
        assert_eq!(error.unwrap().kind(), io::ErrorKind::ConnectionRefused);
        let nothing = first_to_accept(std::iter::empty()).await;
        assert!(nothing.unwrap_err().is_none());
    }

    #[tokio::test]
    async fn a_unix_socket_with_a_full_queue_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.sock");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path).await {
            queued.push(stream);
        }
        let accepting = async {
            tokio::task::yield_now().await;
            socket.accept().unwrap()
        };
        let connecting = timeout(Duration::from_secs(3), open_unix(&path));
        let (stream, _accepted) = tokio::join!(connecting, accepting);
        assert!(stream.unwrap().is_ok());
    }
}
