//! The accept loop of one listener: bounds the open connections, finds out whom they belong to, and survives a lack of file
//! descriptors or memory. Knows nothing of TLS and HTTP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::client_limit::{ClientLimit, ClientSlot, ConnectionSlot};
use super::listener::OpenListener;
use super::proxy_protocol::{self, ProxyHeader, ProxyProtocol, ProxyProtocolError, canonical};
use crate::listener_names::ListenerId;
use crate::log_limit::LogLimit;
use crate::proxy::{Reason, TrustedProxies, WorkerRefusals};
use crate::tasks::{Shutdown, Tasks};
use crate::uninterrupted::repeat;

/// Pause of the loop when the process is out of file descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// An accepted connection.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// The client's address: the peer's own, or the one in its PROXY header.
    pub peer: SocketAddr,
    /// The address that the client connected to.
    pub local: SocketAddr,
    /// Its slot among the open connections, released when dropped.
    pub slot: ConnectionSlot,
    /// `true` if forwarding headers of this peer are believed.
    pub is_trusted: bool,
    /// Listener that accepted it.
    pub listener: ListenerId,
}

/// Ruleset for connections to a listener. A reload replaces them for connections from then on.
#[derive(Clone, Debug)]
pub struct AcceptRules {
    /// The number of the listener's name.
    pub listener: ListenerId,
    /// The trusted peers.
    pub trust: Arc<TrustedProxies>,
    /// The limit of open connections per client.
    pub client_limit: ClientLimit,
    /// Whether trusted peers begin their connections with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Time for the PROXY header to arrive.
    pub timeout: Duration,
}

impl AcceptRules {
    /// Replaces a trusted peer by the client in its PROXY header. Returns `None` if the connection is to be closed.
    async fn read_proxy_header(
        &self,
        mode: ProxyProtocol,
        mut accepted: Accepted,
        shutdown: &Shutdown,
        refusals: &WorkerRefusals,
    ) -> Option<Accepted> {
        let peer = accepted.peer;
        let header = async {
            match (accepted.is_trusted, mode) {
                (true, _) => proxy_protocol::read(&mut accepted.stream, mode).await,
                (false, ProxyProtocol::Optional) => Ok(None),
                (false, ProxyProtocol::Required) => Err(ProxyProtocolError::Untrusted),
            }
        };
        let header = tokio::select! {
            header = timeout(self.timeout, header) => header,
            () = shutdown.overdue(Duration::ZERO) => return None,
        };
        match header {
            Ok(Ok(header)) => self.apply_proxy_header(accepted, header, refusals),
            Ok(Err(error)) => {
                debug!(client.addr = %peer, %error, "connection refused");
                refusals.count(error.reason());
                None
            }
            Err(_) => {
                debug!(client.addr = %peer, "connection refused: no PROXY header in time");
                refusals.count(Reason::ProxyHeaderTimeout);
                None
            }
        }
    }

    fn apply_proxy_header(
        &self,
        mut accepted: Accepted,
        header: Option<ProxyHeader>,
        refusals: &WorkerRefusals,
    ) -> Option<Accepted> {
        match header {
            None | Some(ProxyHeader::Local) => {}
            // Forwarding headers of an unknown client must not be believed as if the peer had set them.
            Some(ProxyHeader::Unknown) => accepted.is_trusted = false,
            Some(ProxyHeader::Client {
                source,
                destination,
            }) => {
                debug!(client.addr = %source, proxy.addr = %accepted.peer, "PROXY header read");
                accepted.peer = source;
                accepted.local = destination;
                accepted.is_trusted = self.trust.contains(source.ip());
                if !accepted.is_trusted {
                    accepted.slot.set_client(self.count(source, refusals)?);
                }
            }
        }
        Some(accepted)
    }

    /// Counts a connection of this client. Returns `None` if the client is at its limit.
    pub(in crate::server) fn count(
        &self,
        client: SocketAddr,
        refusals: &WorkerRefusals,
    ) -> Option<ClientSlot> {
        let slot = self.client_limit.admit(client.ip());
        if slot.is_none() {
            debug!(client.addr = %client, "client is at its limit of connections");
            refusals.count(Reason::ConnectionsPerClient);
        }
        slot
    }
}

/// The parts of an [`AcceptLoop`] that it has in common with its connections.
#[derive(Debug)]
struct Context {
    tasks: Tasks,
    shutdown: Shutdown,
    rules: Arc<ArcSwap<AcceptRules>>,
    refusals: Arc<WorkerRefusals>,
    failure_log: Arc<LogLimit>,
}

/// Accepts the connections of one listener.
#[derive(Debug)]
pub struct AcceptLoop {
    listener: OpenListener,
    permits: Arc<Semaphore>,
    context: Context,
}

impl AcceptLoop {
    /// Accepts as many connections as `permits` has, over all loops that share it. The `rules` that are current when a
    /// connection comes apply to it.
    #[must_use]
    pub fn new(
        listener: OpenListener,
        permits: Arc<Semaphore>,
        tasks: Tasks,
        rules: Arc<ArcSwap<AcceptRules>>,
    ) -> Self {
        Self {
            listener,
            permits,
            context: Context {
                shutdown: tasks.shutdown(),
                tasks,
                rules,
                refusals: Arc::default(),
                failure_log: Arc::default(),
            },
        }
    }

    /// Logs failures of accept as often as `limit` allows, over all loops that share it.
    #[must_use]
    pub fn logging(mut self, limit: Arc<LogLimit>) -> Self {
        self.context.failure_log = limit;
        self
    }

    /// Counts refused connections in `refusals`.
    #[must_use]
    pub fn counting(mut self, refusals: Arc<WorkerRefusals>) -> Self {
        self.context.refusals = refusals;
        self
    }

    /// Accepts until the process stops or `closed` is requested. Each connection runs in a task of its own, on the runtime of
    /// this future, and outlives the loop.
    pub async fn run<F, Served>(self, closed: Shutdown, serve: F)
    where
        F: Fn(Accepted, Shutdown) -> Served + Clone + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let acceptor = Acceptor {
            listener: self.listener,
            permits: self.permits,
            context: self.context,
        };
        let shutdown = acceptor.context.shutdown.clone();
        let mut stopped = pin!(shutdown.requested());
        let mut closed = pin!(closed.requested());
        loop {
            let accepted = tokio::select! {
                () = &mut stopped => return,
                () = &mut closed => break,
                accepted = acceptor.accept() => accepted,
            };
            if let Some(accepted) = acceptor.admitted(accepted).await {
                acceptor.spawn(accepted, &serve);
            }
        }
        // Connections that the kernel has established before the listener closes are served too.
        while let Some(accepted) = acceptor.accept().now_or_never() {
            if let Some(accepted) = acceptor.admitted(accepted).await {
                acceptor.spawn(accepted, &serve);
            }
        }
    }
}

/// An [`AcceptLoop`] that runs.
struct Acceptor {
    listener: OpenListener,
    permits: Arc<Semaphore>,
    context: Context,
}

impl Acceptor {
    /// Accepts the next connection. Cancel safe.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        repeat(|| self.listener.accept()).await
    }

    /// Admits an accepted connection. Returns `None` if it is refused or lost. Not to be cancelled: the client would be lost,
    /// even if another process takes over.
    ///
    /// The connection comes first and its permit second, so that an idle listener holds no permit.
    async fn admitted(&self, accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<Accepted> {
        match accepted {
            Ok((stream, peer)) => self.admit(stream, canonical(peer)).await,
            Err(error) if is_clients_fault(&error) => {
                debug!(error = %error, "client left before it was accepted");
                None
            }
            Err(error) => {
                if let Some(failures) = self.context.failure_log.count() {
                    warn!(server.addr = %self.listener.address(), %error, failures, "accept failed");
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
                None
            }
        }
    }

    async fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
        let rules = self.context.rules.load();
        let is_trusted = rules.trust.contains(peer.ip());
        let client = if is_trusted {
            // A trusted peer has the connections of many clients. Each counts for the client that its PROXY header names.
            rules.client_limit.uncounted()
        } else {
            rules.count(peer, &self.context.refusals)?
        };
        let listener = rules.listener;
        drop(rules);
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let address = self.listener.address();
        let local = if address.ip().is_unspecified() {
            stream.local_addr().unwrap_or(address)
        } else {
            address
        };
        Some(Accepted {
            stream,
            peer,
            local: canonical(local),
            slot: ConnectionSlot::new(permit, client),
            is_trusted,
            listener,
        })
    }

    /// Serves a connection in a task of its own.
    fn spawn<F, Served>(&self, accepted: Accepted, serve: &F)
    where
        F: Fn(Accepted, Shutdown) -> Served + Clone + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let rules = self.context.rules.load();
        let Some(mode) = rules.proxy_protocol else {
            let served = serve(accepted, self.context.shutdown.clone());
            self.context.tasks.spawn(served);
            return;
        };
        let (rules, serve) = (Arc::clone(&rules), serve.clone());
        let shutdown = self.context.shutdown.clone();
        let refusals = Arc::clone(&self.context.refusals);
        self.context.tasks.spawn(async move {
            let read = Box::pin(rules.read_proxy_header(mode, accepted, &shutdown, &refusals));
            let accepted = read.await;
            drop(refusals);
            if let Some(accepted) = accepted {
                serve(accepted, shutdown).await;
            }
        });
    }
}

/// Whether only the accepted connection is lost. On Linux, accept also returns errors of the network on the way to the client.
fn is_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown,
        NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::super::listener::{Listener, PROBE_AFTER, PROBE_EVERY};
    use super::*;
    use crate::memory::StreamMemory;

    fn rules(trusted: &[&str], limit: u16) -> AcceptRules {
        let networks = trusted.iter().map(|network| network.parse().unwrap());
        AcceptRules {
            listener: ListenerId::default(),
            trust: Arc::new(TrustedProxies::new(networks)),
            client_limit: ClientLimit::new(
                limit,
                StreamMemory::new(1 << 20),
                Arc::new(Semaphore::new(100)),
            ),
            proxy_protocol: None,
            timeout: Duration::from_secs(1),
        }
    }

    /// Accepts a connection of a client on this machine. Returns it with the client's own end.
    async fn accept(rules: &AcceptRules) -> (Option<Accepted>, TcpStream) {
        let mut listeners = Listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let listener = listeners.remove(0);
        let tasks = Tasks::new();
        let address = listener.address();
        let acceptor = Acceptor {
            listener: listener.open().unwrap(),
            permits: Arc::new(Semaphore::new(1)),
            context: Context {
                shutdown: tasks.shutdown(),
                tasks,
                rules: Arc::new(ArcSwap::from_pointee(rules.clone())),
                refusals: Arc::default(),
                failure_log: Arc::default(),
            },
        };
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), acceptor.accept());
        (acceptor.admitted(accepted).await, stream.unwrap())
    }

    #[tokio::test]
    async fn silent_clients_are_probed_and_answers_are_not_delayed() {
        let (accepted, _stream) = accept(&rules(&[], 10)).await;
        let accepted = accepted.unwrap().stream;
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), PROBE_AFTER);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), PROBE_EVERY);
        assert!(accepted.tcp_nodelay().unwrap());
    }

    #[tokio::test]
    async fn the_clients_of_a_trusted_peer_are_counted_one_by_one() {
        let rules = rules(&["127.0.0.0/8"], 1);
        let mut open = Vec::new();
        for (source, is_accepted) in [
            ("192.0.2.7:1", true),
            ("192.0.2.7:2", false),
            ("192.0.2.8:1", true),
        ] {
            let (accepted, stream) = accept(&rules).await;
            let header = ProxyHeader::Client {
                source: source.parse().unwrap(),
                destination: "192.0.2.1:443".parse().unwrap(),
            };
            let accepted = rules.apply_proxy_header(
                accepted.unwrap(),
                Some(header),
                &WorkerRefusals::default(),
            );
            assert_eq!(accepted.is_some(), is_accepted, "{source}");
            open.push((accepted, stream));
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_not_trusted_is_counted_at_once() {
        let rules = rules(&[], 1);
        let (first, _stream) = accept(&rules).await;
        assert!(first.is_some());
        assert!(accept(&rules).await.0.is_none());
    }

    #[tokio::test]
    async fn only_a_lack_of_resources_is_a_failure_of_accept_and_a_signal_is_no_error() {
        use rustix::io::Errno;
        for (errno, is_clients) in [
            (Errno::CONNABORTED, true),
            (Errno::CONNRESET, true),
            (Errno::HOSTUNREACH, true),
            (Errno::NETUNREACH, true),
            (Errno::NETDOWN, true),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOMEM, false),
            (Errno::NOBUFS, false),
        ] {
            assert_eq!(is_clients_fault(&errno.into()), is_clients, "{errno:?}");
        }
        // accept(2) and connect(2) are called through this.
        let mut interruptions = 3;
        let accepted = repeat(|| {
            let is_interrupted = interruptions > 0;
            interruptions -= usize::from(is_interrupted);
            async move {
                if is_interrupted {
                    Err(io::Error::from(Errno::INTR))
                } else {
                    Ok("a connection")
                }
            }
        });
        assert_eq!(accepted.await.unwrap(), "a connection");
        assert_eq!(interruptions, 0);
    }

    #[test]
    fn ipv4_clients_are_shown_with_their_ipv4_address() {
        for (address, shown) in [
            ("192.0.2.7:1", "192.0.2.7:1"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7:1"),
            ("[2001:db8::7]:1", "[2001:db8::7]:1"),
        ] {
            assert_eq!(canonical(address.parse().unwrap()).to_string(), shown);
        }
    }
}
