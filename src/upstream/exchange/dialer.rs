//! Opens connections to backends: TCP or unix socket, PROXY header, TLS, and HTTP handshake.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
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
use crate::uninterrupted::{Uninterrupted, repeat};
use crate::upstream::address::{Address, Endpoint, Protocol};
use crate::upstream::backend::{ClientShare, InFlight};
use crate::upstream::connection::{Http1Connection, Http2Connection};
use crate::upstream::error::Error;
use crate::upstream::options::{HttpOptions, HttpVersion, Options, UpstreamContext};
use crate::upstream::transport::{BackendStream, ListenAddresses, TlsClient, TlsError, Transport};

/// Silence on a connection after which the kernel probes if the peer is still there.
const PROBE_AFTER: Duration = Duration::from_secs(30);
/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// Time after which the next address is tried in parallel with the one before it.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Time between two attempts to connect to a unix socket whose queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// Requirements that a request has on its connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct ConnectionNeeds<'a> {
    /// `true` if the request asks for an upgrade, which only HTTP/1.1 supports here.
    pub(in crate::upstream) is_upgrade: bool,
    /// `true` if the connection must be a new one.
    pub(in crate::upstream) is_fresh: bool,
    /// PROXY header to send first, before TLS. Since it names one client, the connection then carries only this
    /// request.
    pub(in crate::upstream) proxy_header: Option<&'a [u8]>,
    /// Host that the TLS handshake names, if it is that of the client's request.
    pub(in crate::upstream) server_name: Option<&'a HostName>,
    /// Share of the client, for which a shared connection counts that is opened for the request.
    pub(in crate::upstream) share: Option<&'a Arc<ClientShare>>,
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
    /// Set if one of the addresses needs TLS.
    tls: Option<TlsClient>,
    has_http2: bool,
    http: HttpOptions,
    listen_addresses: ListenAddresses,
}

impl Dialer {
    /// A dialer for these addresses. Blocks while it reads the files for TLS, if one of the addresses needs them.
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
            http: options.http.clone(),
            listen_addresses: context.listen_addresses.clone(),
        })
    }

    /// `true` if the files for TLS and the system roots are unchanged since they were read. Blocks while it reads the
    /// files.
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

    /// `true` if TLS handshakes name the host of the client's request.
    pub(in crate::upstream) fn uses_client_host(&self) -> bool {
        self.tls.as_ref().is_some_and(TlsClient::uses_client_host)
    }

    /// `true` if both dialers use the same trust, name and client certificate for the backend at `address`.
    pub(in crate::upstream) fn has_same_tls(&self, other: &Self, address: &Address) -> bool {
        address.protocol() != Protocol::Https || self.tls == other.tls
    }

    /// Opens a connection to the backend, or takes a stream on a connection that another request has just opened. Waits
    /// for a permit within the connect time-out. Returns `None` if a shared connection has to be opened, and the client has
    /// its share.
    pub(in crate::upstream) async fn connect(
        &self,
        mut in_flight: InFlight,
        needs: ConnectionNeeds<'_>,
    ) -> Result<Option<Lease>, Error> {
        let address = in_flight.address();
        if needs.is_upgrade && address.protocol() == Protocol::H2c {
            let backend = address.clone();
            return Err(Error::NoUpgrade { backend });
        }
        let pool = in_flight.pool().clone();
        let start = Instant::now();
        let opening = if needs.is_alone() {
            None
        } else {
            // Requests wait here while another one opens a shared connection.
            let late = |_| Error::ConnectTimeout {
                backend: address.clone(),
            };
            let waiting = pool.wait_for_shared(address, needs.server_name, self.timeout);
            waiting.await.map_err(late)?
        };
        if opening.is_some() {
            let since = needs.is_fresh.then_some(start);
            if let Some(http2) = pool.least_used(since, needs.server_name) {
                let lease = Http2Lease::new(http2, in_flight, !needs.is_fresh);
                return Ok(Some(Lease::Http2(lease)));
            }
            if !in_flight.hold_one_of(self.free(), needs.share) {
                return Ok(None);
            }
        }
        let Ok(Ok(permit)) = timeout(self.timeout, self.permit()).await else {
            return Err(Error::ConnectionLimit);
        };
        let lease = self.open(in_flight, needs, permit).await?;
        if let (Some(opening), Lease::Http2(lease)) = (opening, &lease) {
            pool.end_opening(opening, lease.slot().connection(), self.timeout);
        }
        Ok(Some(lease))
    }

    /// Number of connections that can still be opened.
    pub(in crate::upstream) fn free(&self) -> usize {
        self.connection_permits.available_permits()
    }

    /// Waits for a permit to open one more connection.
    pub(in crate::upstream) async fn permit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.connection_permits).acquire_owned().await
    }

    /// Opens a new connection to the backend.
    pub(in crate::upstream) async fn open(
        &self,
        mut in_flight: InFlight,
        needs: ConnectionNeeds<'_>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Lease, Error> {
        let address = in_flight.address().clone();
        let is_http1 = self.http.version == HttpVersion::Http1
            || needs.is_upgrade
            || in_flight.pool().requires_http1();
        let opened = timeout(self.timeout, self.dial(&address, needs, is_http1)).await;
        let opened = opened.map_err(|_| Error::ConnectTimeout {
            backend: address.clone(),
        })??;
        let stream = BackendStream::new(opened.stream, permit);
        if opened.is_http2 {
            let holder = in_flight.take_held();
            let opening =
                Http2Connection::handshake(stream, needs.server_name, holder, &self.tasks);
            let http2 = opening.await.map_err(|error| Error::Exchange {
                backend: address,
                source: error.into(),
            })?;
            if !needs.is_alone() {
                in_flight.pool().add_shared(&http2);
            }
            return Ok(Lease::Http2(Http2Lease::new(http2, in_flight, false)));
        }
        if !needs.is_alone() {
            in_flight.pool().note_http1();
        }
        let header_case = self.http.header_case;
        let connection = Http1Connection::new(stream, header_case, needs.server_name);
        let mut lease = Http1Lease::fresh(connection, in_flight, Instant::now());
        if needs.proxy_header.is_some() {
            lease.make_private();
        }
        Ok(Lease::Http1(lease))
    }

    async fn dial(
        &self,
        address: &Address,
        needs: ConnectionNeeds<'_>,
        is_http1: bool,
    ) -> Result<OpenedStream, Error> {
        let (host, port) = match address.endpoint() {
            Endpoint::Unix(path) => {
                let stream = open_unix(path).await;
                let stream = stream.map_err(|source| refused(address, source))?;
                let mut stream = Uninterrupted::new(stream);
                write_proxy_header(address, &mut stream, needs.proxy_header).await?;
                return Ok(OpenedStream {
                    stream: Transport::Unix(stream),
                    is_http2: false,
                });
            }
            Endpoint::Tcp(host, port) => (host, *port),
            // The targets of a service are the backends, so nobody connects to the service itself.
            Endpoint::Service(_) => {
                return Err(Error::Resolve {
                    backend: address.clone(),
                    source: io::ErrorKind::NotFound.into(),
                });
            }
        };
        let stream = dial_host(address, host, port).await?;
        self.refuse_loop(address, &stream)?;
        let mut stream = Uninterrupted::new(stream);
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
        let own_name = address.tls_name().unwrap_or(host);
        let tls_name = needs.server_name.unwrap_or(own_name);
        let stream = tls.connect(stream, tls_name, is_http1).await;
        let stream = stream.map_err(|error| {
            if needs.is_upgrade && is_alpn_refusal(&error) {
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

    /// Fails if the connection leads to the proxy itself. The peer address shows this even if the loop is due to DNS.
    fn refuse_loop(&self, address: &Address, stream: &TcpStream) -> Result<(), Error> {
        let peer = stream.peer_addr();
        let peer = peer.map_err(|source| refused(address, source))?;
        if self.listen_addresses.are_reached(peer) {
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

/// `true` if the backend refused a TLS handshake because it supports none of the offered protocols (RFC 7301 section
/// 3.2).
fn is_alpn_refusal(error: &io::Error) -> bool {
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

/// Connects to the IP address of the backend. A name that always means this machine is resolved by the system, and the
/// first of its addresses that accepts is used.
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

/// Connects to the first address that accepts. Starts with the next address when one has failed, or has not accepted
/// within [`NEXT_ADDRESS`] (RFC 8305 section 5). Fails with the last error, or with `None` if there are no addresses.
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

/// Connects to a unix socket. Tries again while its queue is full, for which the system does not wait, unlike with TCP.
async fn open_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match repeat(|| UnixStream::connect(path)).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_PAUSE).await,
            outcome => return outcome,
        }
    }
}

async fn open(socket: SocketAddr) -> io::Result<TcpStream> {
    let stream = repeat(|| TcpStream::connect(socket)).await?;
    stream.set_nodelay(true)?;
    // A response may pause for hours. Only the kernel's probes can distinguish this from a dead machine.
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use socket2::{Domain, SockAddr, Socket, Type};
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::backend::Lane;
    use crate::upstream::connection::Pool;

    /// A listener with a full queue, which does not answer to further connections.
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
    async fn the_next_address_is_tried_while_one_does_not_answer() {
        let (_socket, _queued, silent) = black_hole().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let connecting = first_to_accept([silent, silent, good].into_iter());
        let stream = timeout(Duration::from_secs(3), connecting).await;
        assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), good);
    }

    const NEEDS: ConnectionNeeds<'_> = ConnectionNeeds {
        is_upgrade: false,
        is_fresh: false,
        proxy_header: None,
        server_name: None,
        share: None,
    };

    /// A dialer, and a function that makes requests to a backend without connections.
    fn request_to(address: &Address, limit: Duration) -> (Dialer, impl Fn() -> InFlight) {
        let context = UpstreamContext::new(Tasks::new());
        let options = Options {
            connect_timeout: limit,
            ..Options::default()
        };
        let dialer = Dialer::new(std::slice::from_ref(address), &options, &context).unwrap();
        let lane = Lane::new(address, Pool::new(options.idle_timeout, context.tasks));
        (dialer, move || InFlight::enter(&lane, None))
    }

    #[tokio::test]
    async fn requests_for_a_shared_connection_time_out_together() {
        let (_socket, _queued, silent) = black_hole().await;
        let address = Address::parse(&format!("h2c://{silent}")).unwrap();
        let (dialer, request) = request_to(&address, Duration::from_millis(100));
        let start = Instant::now();
        let all = (0..20).map(|_| dialer.connect(request(), NEEDS));
        for outcome in futures_util::future::join_all(all).await {
            assert!(matches!(outcome, Err(Error::ConnectTimeout { .. })));
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn requests_share_a_connection_when_it_is_known_how_many_may() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("h2c://{}", listener.local_addr().unwrap());
        let serving = Tasks::new();
        let tasks = serving.clone();
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    let opening = builder
                        .max_concurrent_streams(2)
                        .handshake::<_, Bytes>(stream);
                    let mut connection = opening.await.unwrap();
                    while connection.accept().await.is_some() {}
                });
            }
        });
        let address = Address::parse(&address).unwrap();
        let (dialer, request) = request_to(&address, Duration::from_secs(10));
        let before = dialer.free();
        let all = (0..5).map(|_| dialer.connect(request(), NEEDS));
        let leases = futures_util::future::join_all(all).await;
        assert!(leases.iter().all(|lease| matches!(lease, Ok(Some(_)))));
        assert_eq!(before - dialer.free(), 3);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_skipped_at_once() {
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
    async fn connecting_to_a_unix_socket_waits_while_its_queue_is_full() {
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
