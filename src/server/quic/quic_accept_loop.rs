//! The accept loop of one QUIC endpoint: bounds the open connections and the handshakes that run, and finds out whom they belong
//! to. Knows nothing of TLS rules and HTTP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use quinn::{
    Connecting, ConnectionError, Endpoint, EndpointConfig, Incoming, ServerConfig, TransportConfig,
    crypto,
};
use tokio::sync::Semaphore;
use tracing::{debug, error};

use super::quic_network::QuicNetwork;
use super::task_runtime::TaskRuntime;
use super::udp_listener::{canonical, unspecified};
use super::worker_socket::ClosedSocket;
use crate::listener_names::ListenerId;
use crate::proxy::{Reason, WorkerRefusals};
use crate::server::accept::{AcceptRules, ConnectionSlot};
use crate::tasks::{Shutdown, Tasks};

/// Version 1 of QUIC (RFC 9000).
const VERSION: u32 = 1;
/// Handshakes of one worker from which on clients have to prove their addresses with a Retry first.
const RETRY_FROM: usize = 64;
/// Most handshakes of one worker. The first packets of further ones are ignored.
const MOST_HANDSHAKES: usize = 1024;
/// Bytes of the first packets of all connections that wait until they are accepted.
const MOST_WAITING: u64 = 1024 * 1024;

/// The parts of a [`QuicAcceptLoop`].
pub struct QuicAcceptParts {
    /// The network of the process.
    pub network: QuicNetwork,
    /// Has the keys of the first packets, which are the same for all connections.
    pub first_keys: Arc<dyn crypto::ServerConfig>,
    /// The connections that may be open in all.
    pub permits: Arc<Semaphore>,
    /// The tasks of connections and endpoints.
    pub tasks: Tasks,
    /// The rules for connections.
    pub rules: Arc<ArcSwap<AcceptRules>>,
    /// Counters of refused connections.
    pub refusals: Arc<WorkerRefusals>,
}

/// Accepts the QUIC connections of one worker on one address.
pub struct QuicAcceptLoop {
    endpoint: Endpoint,
    /// The address of the socket.
    address: SocketAddr,
    config: ServerConfig,
    parts: QuicAcceptParts,
    handshakes: Arc<AtomicUsize>,
}

/// A connection whose handshake has not begun.
#[derive(Debug)]
pub struct AcceptedQuic {
    incoming: Incoming,
    config: ServerConfig,
    handshaking: Handshaking,
    /// The client's address.
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

/// A handshake that runs until this is dropped.
#[derive(Debug)]
pub(in crate::server) struct Handshaking(Arc<AtomicUsize>);

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose handshake has begun.
#[derive(Debug)]
pub(in crate::server) struct BegunQuic {
    pub(in crate::server) connecting: Result<Connecting, ConnectionError>,
    pub(in crate::server) slot: ConnectionSlot,
    pub(in crate::server) handshaking: Handshaking,
}

impl AcceptedQuic {
    /// Begins the handshake.
    pub(in crate::server) fn begin(
        self,
        crypto: Arc<dyn crypto::ServerConfig>,
        transport: &Arc<TransportConfig>,
    ) -> BegunQuic {
        let mut config = self.config;
        config.crypto = crypto;
        config.transport_config(Arc::clone(transport));
        BegunQuic {
            connecting: self.incoming.accept_with(Arc::new(config)),
            slot: self.slot,
            handshaking: self.handshaking,
        }
    }
}

impl QuicAcceptLoop {
    /// Opens an endpoint on `socket`, on the current runtime.
    pub fn open(socket: ClosedSocket, parts: QuicAcceptParts) -> io::Result<Self> {
        let socket = Arc::new(socket.open()?);
        let address = quinn::AsyncUdpSocket::local_addr(&*socket)?;
        let mut config = ServerConfig::new(
            Arc::clone(&parts.first_keys),
            parts.network.keys().token_key(),
        );
        config
            .max_incoming(MOST_HANDSHAKES)
            .incoming_buffer_size_total(MOST_WAITING);
        let mut endpoint = EndpointConfig::new(parts.network.keys().reset_key());
        let ids = Arc::clone(&socket);
        endpoint
            .supported_versions(vec![VERSION])
            .cid_generator(move || Box::new(ids.ids()));
        let runtime = Arc::new(TaskRuntime(parts.tasks.clone()));
        let endpoint =
            Endpoint::new_with_abstract_socket(endpoint, Some(config.clone()), socket, runtime)?;
        Ok(Self {
            endpoint,
            address,
            config,
            parts,
            handshakes: Arc::default(),
        })
    }

    /// Accepts until the process stops or `closed` is requested. Each connection runs in a task of its own, on the runtime of
    /// this future, and outlives the loop.
    pub async fn run<F, Served>(self, closed: Shutdown, serve: F)
    where
        F: Fn(AcceptedQuic, Shutdown) -> Served + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let shutdown = self.parts.tasks.shutdown();
        let mut stopped = pin!(shutdown.requested());
        let mut closed = pin!(closed.requested());
        loop {
            let incoming = tokio::select! {
                () = &mut stopped => break,
                () = &mut closed => break,
                incoming = self.endpoint.accept() => incoming,
            };
            let Some(incoming) = incoming else {
                error!(server.addr = %self.address, "HTTP/3 has ended, because its UDP socket failed; restart the proxy");
                return;
            };
            if let Some(accepted) = self.admit(incoming) {
                let served = serve(accepted, shutdown.clone());
                self.parts.tasks.spawn(served);
            }
        }
        // Open connections go on. New ones would wait for nobody.
        self.endpoint.set_server_config(None);
    }

    /// Admits a connection. Returns `None` if it is refused.
    fn admit(&self, incoming: Incoming) -> Option<AcceptedQuic> {
        let peer = canonical(incoming.remote_address());
        let handshakes = self.handshakes.load(Ordering::Relaxed);
        let refusals = &self.parts.refusals;
        if handshakes >= MOST_HANDSHAKES {
            refusals.count(Reason::HandshakeFlood);
            incoming.ignore();
            return None;
        }
        if handshakes >= RETRY_FROM && !incoming.remote_address_validated() {
            debug!(client.addr = %peer, "client has to prove its address");
            // Only fails for addresses that are proved.
            let _ = incoming.retry();
            return None;
        }
        let rules = self.parts.rules.load();
        let is_trusted = rules.trust.contains(peer.ip());
        let client = if is_trusted {
            rules.client_limit.uncounted()
        } else {
            rules.count(peer, refusals)?
        };
        let Ok(permit) = Arc::clone(&self.parts.permits).try_acquire_owned() else {
            debug!(client.addr = %peer, "as many connections are open as may be");
            refusals.count(Reason::Connections);
            return None;
        };
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        Some(AcceptedQuic {
            peer,
            local: self.local(&incoming),
            slot: ConnectionSlot::new(permit, client),
            is_trusted,
            listener: rules.listener,
            config: self.config.clone(),
            handshaking: Handshaking(Arc::clone(&self.handshakes)),
            incoming,
        })
    }

    /// Returns the address that a client connected to.
    fn local(&self, incoming: &Incoming) -> SocketAddr {
        let port = self.address.port();
        let local = incoming.local_ip().map(|ip| (ip, port).into());
        let address = if self.address.ip().is_unspecified() {
            local.unwrap_or_else(|| unspecified(port))
        } else {
            self.address
        };
        canonical(address)
    }
}

impl std::fmt::Debug for QuicAcceptLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("QuicAcceptLoop")
            .field(&self.address)
            .finish()
    }
}
