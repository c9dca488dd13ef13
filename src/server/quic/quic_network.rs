//! The workers of this process and the processes before and after it, to which datagrams are passed that others have received.
//!
//! A process and its successor have the same UDP sockets. Each keeps its connections: the number of the process in a connection
//! id says whose it is. Once the successor serves, only it reads from the sockets.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tracing::debug;

use super::connection_ids::{ConnectionIds, Home};
use super::passed_datagram::PassedDatagram;
use super::quic_keys::QuicKeys;
use crate::tasks::Tasks;

/// Largest message between processes: a UDP datagram with its facts.
const MOST_BYTES: usize = 66 * 1024;

/// The inboxes of the workers of one listener.
pub(super) type Inboxes = Arc<[mpsc::Sender<PassedDatagram>]>;

/// All workers of all listeners, and both neighbours of the process. Clones are the same.
#[derive(Clone)]
pub struct QuicNetwork(Arc<Shared>);

struct Shared {
    keys: QuicKeys,
    ids: Arc<ConnectionIds>,
    generation: u8,
    listeners: Mutex<HashMap<SocketAddr, Inboxes>>,
    predecessor: ArcSwapOption<UnixDatagram>,
    successor: ArcSwapOption<UnixDatagram>,
    is_handed_over: AtomicBool,
}

/// The other end of the link to a process that takes over.
#[derive(Debug)]
pub struct SuccessorLink {
    /// The socket, to be inherited.
    pub socket: OwnedFd,
    /// The number of the process.
    pub generation: u8,
}

/// The link to the process that this one takes over from.
#[derive(Debug)]
pub struct PredecessorLink {
    /// The inherited socket.
    pub socket: StdUnixDatagram,
    /// The number of this process.
    pub generation: u8,
}

impl QuicNetwork {
    /// The network of a process, which takes over from another one if it has a link to that.
    pub fn new(
        keys: QuicKeys,
        predecessor: Option<PredecessorLink>,
        tasks: &Tasks,
    ) -> io::Result<Self> {
        let generation = predecessor.as_ref().map_or(0, |link| link.generation);
        let network = Self(Arc::new(Shared {
            ids: keys.connection_ids(),
            keys,
            generation,
            listeners: Mutex::default(),
            predecessor: ArcSwapOption::empty(),
            successor: ArcSwapOption::empty(),
            is_handed_over: AtomicBool::new(false),
        }));
        if let Some(link) = predecessor {
            link.socket.set_nonblocking(true)?;
            let socket = Arc::new(UnixDatagram::from_std(link.socket)?);
            network.0.predecessor.store(Some(Arc::clone(&socket)));
            tasks.spawn(network.clone().receive(socket));
        }
        Ok(network)
    }

    /// Makes a link to a process that takes over.
    pub fn link_successor(&self, tasks: &Tasks) -> io::Result<SuccessorLink> {
        let (own, theirs) = StdUnixDatagram::pair()?;
        own.set_nonblocking(true)?;
        let socket = Arc::new(UnixDatagram::from_std(own)?);
        self.0.successor.store(Some(Arc::clone(&socket)));
        tasks.spawn(self.clone().receive(socket));
        Ok(SuccessorLink {
            socket: theirs.into(),
            generation: self.0.generation.wrapping_add(1),
        })
    }

    /// Leaves the sockets to the successor, which serves.
    pub fn hand_over(&self) {
        self.0.is_handed_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_handed_over(&self) -> bool {
        self.0.is_handed_over.load(Ordering::Relaxed)
    }

    /// Returns the keys of all endpoints.
    pub(super) fn keys(&self) -> &QuicKeys {
        &self.0.keys
    }

    pub(super) fn ids(&self) -> &Arc<ConnectionIds> {
        &self.0.ids
    }

    pub(super) fn generation(&self) -> u8 {
        self.0.generation
    }

    /// Adds a listener, whose workers have these inboxes.
    pub(super) fn add(&self, listener: SocketAddr, inboxes: Inboxes) {
        self.0.listeners.lock().insert(listener, inboxes);
    }

    /// Passes a datagram to another process if that has its connection. Returns `false` if there is no such process.
    pub(super) fn pass_on(
        &self,
        home: Home,
        listener: SocketAddr,
        passed: &PassedDatagram,
    ) -> bool {
        let ahead = home.generation.wrapping_sub(self.0.generation);
        let neighbour = match ahead {
            0 => return false,
            1..=127 => self.0.successor.load(),
            128.. => self.0.predecessor.load(),
        };
        let Some(socket) = &*neighbour else {
            return false;
        };
        // Without the runtime, which does not know that a new socket can be written before it has looked.
        match SockRef::from(&**socket).send(&passed.encode(listener)) {
            // A full buffer loses the datagram, which is sent again.
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Receives the datagrams of one neighbour. Connections need them as long as they last, also when the process stops.
    async fn receive(self, socket: Arc<UnixDatagram>) {
        let mut buffer = vec![0; MOST_BYTES];
        loop {
            match socket.recv(&mut buffer).await {
                Ok(length) => self.deliver(buffer.get(..length).unwrap_or_default()),
                Err(error) => {
                    debug!(%error, "link to another process ended");
                    return;
                }
            }
        }
    }

    /// Delivers a message of a neighbour.
    fn deliver(&self, message: &[u8]) {
        let Some((listener, passed)) = PassedDatagram::decode(message) else {
            return;
        };
        let Some(home) = self.0.ids.home_of(&passed.data) else {
            return;
        };
        if home.generation != self.0.generation {
            self.pass_on(home, listener, &passed);
            return;
        }
        let listeners = self.0.listeners.lock();
        let inboxes = listeners.get(&listener);
        if let Some(inbox) = inboxes.and_then(|all| all.get(usize::from(home.worker))) {
            let _ = inbox.try_send(passed);
        }
    }
}

impl fmt::Debug for QuicNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuicNetwork")
            .field(&self.0.generation)
            .finish()
    }
}
