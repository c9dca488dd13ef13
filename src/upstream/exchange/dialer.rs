//! Opens connections to a backend: TCP or unix socket, the PROXY header, TLS, and the HTTP handshake.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls::AlertDescription;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::lease::{Http1Lease, Http2Lease, Lease};
use crate::name::HostName;
use crate::tasks::Tasks;
use crate::upstream::address::{Address, Endpoint, Protocol};
use crate::upstream::backend::InFlight;
use crate::upstream::connection::{Http1Connection, Http2Connection};
use crate::upstream::error::Error;
use crate::upstream::options::{Options, UpstreamContext};
use crate::upstream::transport::{BackendStream, OwnAddresses, TlsClient, TlsError, Transport};

/// Silence after which the other end of a connection is probed, and the time between probes.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// Time that one address may take before the next one is tried beside it.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Pause before the next attempt at a unix socket whose queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// Requirements of a request on its connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct ConnectionNeeds<'a> {
    /// It may switch protocols, which only HTTP/1.1 does here.
    pub(in crate::upstream) is_upgrade: bool,
    /// It must be a new one.
    pub(in crate::upstream) is_fresh: bool,
    /// PROXY header that it begins with, before TLS. The connection then belongs to one client, and carries this request
    /// only.
    pub(in crate::upstream) proxy_header: Option<&'a [u8]>,
}

impl ConnectionNeeds<'_> {
    /// `true` if no other request may share the connection.
    fn is_alone(&self) -> bool {
        self.is_upgrade || self.proxy_header.is_some()
    }
}

/// Opens the connections of one upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Dialer {
    timeout: Duration,
    connection_permits: Arc<Semaphore>,
    tasks: Tasks,
    /// Set if an address needs it.
    tls: Option<TlsClient>,
    has_http2: bool,
    own_addresses: OwnAddresses,
}

impl Dialer {
    /// A dialer for these addresses. Reads what TLS needs if one of them is behind it.
    pub(in crate::upstream) fn new(
        addresses: &[Address],
        options: &Options,
        context: &UpstreamContext,
    ) -> Result<Self, TlsError> {
        let has = |protocol| {
            addresses
                .iter()
                .any(|address| address.protocol() == protocol)
        };
        let has_tls = has(Protocol::Https);
        let tls = has_tls.then(|| TlsClient::load(&options.tls, &context.system_roots));
        Ok(Self {
            timeout: options.connect_timeout,
            connection_permits: Arc::clone(&context.connection_permits),
            tasks: context.tasks.clone(),
            tls: tls.transpose()?,
            has_http2: has_tls || has(Protocol::H2c),
            own_addresses: context.own_addresses.clone(),
        })
    }

    /// `true` if the files that TLS needs, and the system roots, are unchanged since they were read.
    pub(in crate::upstream) fn is_current(
        &self,
        options: &Options,
        context: &UpstreamContext,
    ) -> Result<bool, TlsError> {
        match &self.tls {
            Some(tls) => Ok(TlsClient::load(&options.tls, &context.system_roots)? == *tls),
            None => Ok(true),
        }
    }

    /// `true` if any backend may speak HTTP/2.
    pub(in crate::upstream) fn has_http2(&self) -> bool {
        self.has_http2
    }

    /// `true` if both dialers trust the same peers as the backend at `address`.
    pub(in crate::upstream) fn trusts_like(&self, other: &Self, address: &Address) -> bool {
        address.protocol() != Protocol::Https || self.tls == other.tls
    }

    /// Opens a connection to the backend, or takes a stream on one that another request has opened meanwhile.
    pub(in crate::upstream) async fn connect(
        &self,
        in_flight: InFlight,
        needs: ConnectionNeeds<'_>,
    ) -> Result<Lease, Error> {
        let address = in_flight.address();
        if needs.is_upgrade && address.protocol() == Protocol::H2c {
            let backend = address.clone();
            return Err(Error::NoUpgrade { backend });
        }
        let pool = in_flight.pool().clone();
        let asked = Instant::now();
        // Bounded, since those before may wait for a backend that never accepts, one after the other.
        let turn = async {
            if needs.is_alone() {
                None
            } else {
                pool.wait_for_shared(address).await
            }
        };
        let late = |_| Error::ConnectTimeout {
            backend: address.clone(),
        };
        let opening = timeout(self.timeout, turn).await.map_err(late)?;
        if opening.is_some()
            && let Some(http2) = pool.least_used(needs.is_fresh.then_some(asked))
        {
            let is_reused = !needs.is_fresh;
            return Ok(Lease::Http2(Http2Lease::new(http2, in_flight, is_reused)));
        }
        match timeout(self.timeout, self.permit()).await {
            Ok(Ok(permit)) => self.open(in_flight, needs, permit).await,
            Ok(Err(_)) | Err(_) => Err(Error::ConnectionLimit),
        }
    }

    /// Waits until one more connection may be open.
    pub(in crate::upstream) async fn permit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.connection_permits).acquire_owned().await
    }

    /// Opens a connection to the backend.
    pub(in crate::upstream) async fn open(
        &self,
        in_flight: InFlight,
        needs: ConnectionNeeds<'_>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Lease, Error> {
        let address = in_flight.address().clone();
        let opened = timeout(self.timeout, self.dial(&address, needs)).await;
        let opened = opened.map_err(|_| Error::ConnectTimeout {
            backend: address.clone(),
        })??;
        let has_received = Arc::new(AtomicBool::new(false));
        let stream = BackendStream::new(opened.stream, Arc::clone(&has_received), permit);
        if opened.is_http2 {
            let http2 = Http2Connection::handshake(stream, &self.tasks).await;
            let http2 = http2.map_err(|error| Error::exchange(&address, error))?;
            if !needs.is_alone() {
                in_flight.pool().add_shared(&http2);
            }
            return Ok(Lease::Http2(Http2Lease::new(http2, in_flight, false)));
        }
        if !needs.is_alone() {
            in_flight.pool().note_http1();
        }
        let connection = Http1Connection::handshake(stream, has_received).await;
        let connection = connection.map_err(|error| Error::exchange(&address, error))?;
        let mut lease = Http1Lease::fresh(connection, in_flight);
        if needs.proxy_header.is_some() {
            lease.make_last();
        }
        Ok(Lease::Http1(lease))
    }

    async fn dial(
        &self,
        address: &Address,
        needs: ConnectionNeeds<'_>,
    ) -> Result<OpenedStream, Error> {
        let (host, port) = match address.endpoint() {
            Endpoint::Unix(path) => {
                let stream = open_unix(path).await;
                let mut stream = stream.map_err(|source| refused(address, source))?;
                write_proxy_header(address, &mut stream, needs.proxy_header).await?;
                return Ok(OpenedStream {
                    stream: Transport::Unix(stream),
                    is_http2: false,
                });
            }
            Endpoint::Tcp(host, port) => (host, *port),
            // Its targets are backends, and it is none itself.
            Endpoint::Service(_) => {
                return Err(Error::Resolve {
                    backend: address.clone(),
                    source: io::ErrorKind::NotFound.into(),
                });
            }
        };
        let mut stream = dial_host(address, host, port).await?;
        self.refuse_loop(address, &stream)?;
        write_proxy_header(address, &mut stream, needs.proxy_header).await?;
        let Some(tls) = self
            .tls
            .as_ref()
            .filter(|_| address.protocol() == Protocol::Https)
        else {
            return Ok(OpenedStream {
                stream: Transport::Tcp(stream),
                is_http2: address.protocol() == Protocol::H2c,
            });
        };
        let tls_name = address.tls_name().unwrap_or(host);
        let stream = tls.connect(stream, tls_name, needs.is_upgrade).await;
        let stream = stream.map_err(|error| {
            if needs.is_upgrade && knows_no_http1(&error) {
                let backend = address.clone();
                Error::NoUpgrade { backend }
            } else {
                Error::handshake(address, error)
            }
        })?;
        Ok(OpenedStream {
            is_http2: stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            stream: Transport::Tls(Box::new(stream)),
        })
    }

    /// Refuses a connection to the proxy itself, whatever name has led there.
    fn refuse_loop(&self, address: &Address, stream: &TcpStream) -> Result<(), Error> {
        let peer = stream.peer_addr();
        let peer = peer.map_err(|source| refused(address, source))?;
        if self.own_addresses.are_reached(peer) {
            let backend = address.clone();
            return Err(Error::Loop { backend });
        }
        Ok(())
    }
}

struct OpenedStream {
    stream: Transport,
    is_http2: bool,
}

/// `true` if the backend refused a handshake because it offered HTTP/1.1 only (RFC 7301 section 3.2).
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

async fn write_proxy_header(
    address: &Address,
    stream: &mut (impl AsyncWrite + Unpin),
    proxy_header: Option<&[u8]>,
) -> Result<(), Error> {
    match proxy_header {
        Some(proxy_header) => stream
            .write_all(proxy_header)
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

/// Tries the addresses in order, the next one when the last has failed or is slow to accept (RFC 8305 section 5). Returns
/// the last failure, if there was any address.
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

/// Connects to a unix socket, and waits if its queue is full: the system does so for TCP, but not for unix sockets.
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
    // A response may pause for hours, and only the kernel's probes tell a pause from a dead machine.
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
    use crate::upstream::connection::Pool;

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
        let context = UpstreamContext::new(Tasks::new());
        let options = Options {
            connect_timeout: Duration::from_millis(100),
            ..Options::default()
        };
        let dialer = Dialer::new(std::slice::from_ref(address), &options, &context).unwrap();
        let lane = Lane::new(address, Pool::new(options.idle_timeout, context.tasks));
        (dialer, move || InFlight::enter(&lane, None))
    }

    #[tokio::test]
    async fn those_who_would_share_a_connection_do_not_wait_for_each_others_time_outs() {
        let (_socket, _queued, silent) = black_hole().await;
        let address = Address::parse(&format!("h2c://{silent}")).unwrap();
        let (dialer, request) = request_to(&address);
        let needs = ConnectionNeeds {
            is_upgrade: false,
            is_fresh: false,
            proxy_header: None,
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
