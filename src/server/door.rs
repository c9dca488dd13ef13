//! The accept loop: bounded, and it survives what a busy machine does to it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, error, warn};

use super::Listener;
use super::crowd::{Crowd, Member, Place};
use super::proxy_protocol::{self, Announcement, ProxyProtocol, ProxyProtocolError, canonical};
use super::reason;
use crate::proxy::{Reason, TrustedProxies, WorkerRefusals};
use crate::tasks::{Shutdown, Tasks};

/// How long the loop waits when the process is out of file descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A client that has just connected.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub stream: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What it reached.
    pub local: SocketAddr,
    /// Its place among the open connections, given back when dropped.
    pub place: Place,
    /// Whether it may say for whom it speaks.
    pub is_trusted: bool,
}

/// Whom a door believes, and how it hears for whom they speak.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The peers that are believed.
    pub trust: Arc<TrustedProxies>,
    /// How many connections each client has.
    pub crowd: Crowd,
    /// Whether they begin with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How long that may take.
    pub timeout: Duration,
}

impl Entry {
    /// Whether clients are served as they come.
    fn is_plain(&self) -> bool {
        self.proxy_protocol.is_none()
    }

    /// Puts the client in a trusted peer's place, or returns nothing if the connection is to be closed.
    async fn admit(
        &self,
        mut client: Client,
        (shutdown, refusals): (&Shutdown, &WorkerRefusals),
    ) -> Option<Client> {
        let Some(mode) = self.proxy_protocol else {
            return Some(client);
        };
        let peer = client.peer;
        let announced = async {
            match (client.is_trusted, mode) {
                (true, _) => proxy_protocol::read(&mut client.stream, mode).await,
                (false, ProxyProtocol::Optional) => Ok(None),
                (false, ProxyProtocol::Required) => Err(ProxyProtocolError::Untrusted),
            }
        };
        let announced = tokio::select! {
            announced = timeout(self.timeout, announced) => announced,
            () = shutdown.requested() => return None,
        };
        match announced {
            Ok(Ok(announced)) => self.announce(client, announced, refusals),
            Ok(Err(error)) => {
                debug!(client.addr = %peer, %error, "client not let in");
                refusals.count(reason::proxy_header(&error));
                None
            }
            Err(_) => {
                debug!(client.addr = %peer, "client not let in: its PROXY header did not come in time");
                refusals.count(Reason::ProxyHeaderTimeout);
                None
            }
        }
    }

    fn announce(
        &self,
        mut client: Client,
        announced: Option<Announcement>,
        refusals: &WorkerRefusals,
    ) -> Option<Client> {
        match announced {
            None | Some(Announcement::Itself) => {}
            // What an unknown client claims of itself must not pass for the peer's word.
            Some(Announcement::Unknown) => client.is_trusted = false,
            Some(Announcement::Client {
                source,
                destination,
            }) => {
                debug!(client.addr = %source, proxy.addr = %client.peer, "client announced");
                client.peer = source;
                client.local = destination;
                client.is_trusted = self.trust.contains(source.ip());
                if !client.is_trusted {
                    client.place.join(self.count(source, refusals)?);
                }
            }
        }
        Some(client)
    }

    /// Whether a peer is believed, and its place among its connections, if it may have one more.
    fn receive(&self, peer: SocketAddr, refusals: &WorkerRefusals) -> Option<(bool, Member)> {
        Some(match self.trust.contains(peer.ip()) {
            // It stands for many, of whom each is counted if it tells them.
            true => (true, Member::default()),
            false => (false, self.count(peer, refusals)?),
        })
    }

    /// Counts a connection of this client, if it may have one more.
    fn count(&self, client: SocketAddr, refusals: &WorkerRefusals) -> Option<Member> {
        let member = self.crowd.admit(client.ip());
        if member.is_none() {
            debug!(client.addr = %client, "client has too many connections");
            refusals.count(Reason::ConnectionsPerClient);
        }
        member
    }
}

/// One listener with its share of the connections.
#[derive(Debug)]
pub struct Door {
    listener: Listener,
    permits: Arc<Semaphore>,
    tasks: Tasks,
    entry: Arc<ArcSwap<Entry>>,
    refusals: Arc<WorkerRefusals>,
}

impl Door {
    /// A door that lets in as many connections as `permits` has, over all doors that share it, each by the `entry` that is
    /// current when it comes.
    #[must_use]
    pub fn new(
        listener: Listener,
        permits: Arc<Semaphore>,
        tasks: Tasks,
        entry: Arc<ArcSwap<Entry>>,
    ) -> Self {
        Self {
            listener,
            permits,
            tasks,
            entry,
            refusals: Arc::default(),
        }
    }

    /// The same door, which counts whom it turns away in `refusals`.
    #[must_use]
    pub fn counting(self, refusals: Arc<WorkerRefusals>) -> Self {
        Self { refusals, ..self }
    }

    /// Accepts until the process stops or the door is `closed`; each connection runs in a task of its own, on the runtime
    /// that this runs on, and outlives the door.
    pub async fn run<F, Served>(self, closed: Shutdown, serve: F)
    where
        F: Fn(Client, Shutdown) -> Served + Clone + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let Self {
            listener,
            permits,
            tasks,
            entry,
            refusals,
        } = self;
        let address = listener.address();
        let socket = match listener.open() {
            Ok(socket) => socket,
            Err(error) => {
                error!(server.addr = %address, %error, "nobody can be accepted");
                return;
            }
        };
        let shutdown = tasks.shutdown();
        let mut stopped = pin!(shutdown.requested());
        let mut closed = pin!(closed.requested());
        loop {
            let client = tokio::select! {
                () = &mut stopped => return,
                () = &mut closed => break,
                client = next(&socket, address, (&permits, &entry, &refusals)) => client,
            };
            if let Some(client) = client {
                let_in(client, (&tasks, &shutdown, &entry, &refusals), &serve);
            }
        }
        // Who was connected before the door closed has not come in vain.
        let waiting = || next(&socket, address, (&permits, &entry, &refusals)).now_or_never();
        while let Some(client) = waiting() {
            if let Some(client) = client {
                let_in(client, (&tasks, &shutdown, &entry, &refusals), &serve);
            }
        }
    }
}

/// Serves a client in a task of its own.
fn let_in<F, Served>(
    client: Client,
    (tasks, shutdown, entry, refusals): (&Tasks, &Shutdown, &ArcSwap<Entry>, &Arc<WorkerRefusals>),
    serve: &F,
) where
    F: Fn(Client, Shutdown) -> Served + Clone + Send + 'static,
    Served: Future<Output = ()> + Send + 'static,
{
    let current = entry.load();
    if current.is_plain() {
        tasks.spawn(serve(client, shutdown.clone()));
        return;
    }
    let (entry, serve, shutdown) = (Arc::clone(&current), serve.clone(), shutdown.clone());
    let refusals = Arc::clone(refusals);
    tasks.spawn(async move {
        let admitted = Box::pin(entry.admit(client, (&shutdown, &refusals))).await;
        drop(refusals);
        if let Some(client) = admitted {
            serve(client, shutdown).await;
        }
    });
}

/// The next client. Its place is waited for when it is there already, so that no door keeps one for itself.
async fn next(
    socket: &TcpListener,
    address: SocketAddr,
    (permits, entry, refusals): (&Arc<Semaphore>, &ArcSwap<Entry>, &WorkerRefusals),
) -> Option<Client> {
    match socket.accept().await {
        Ok((stream, peer)) => {
            let peer = canonical(peer);
            let (is_trusted, member) = entry.load().receive(peer, refusals)?;
            let permit = Arc::clone(permits).acquire_owned().await.ok()?;
            let local = match address.ip().is_unspecified() {
                true => stream.local_addr().unwrap_or(address),
                false => address,
            };
            Some(Client {
                stream,
                peer,
                local: canonical(local),
                place: Place::new(permit, member),
                is_trusted,
            })
        }
        Err(error) if is_clients_fault(&error) => {
            debug!(error = %error, "client left before it was accepted");
            None
        }
        Err(error) => {
            warn!(server.addr = %address, error = %error, "accept failed");
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
            None
        }
    }
}

fn is_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::super::listener::{PROBE_AFTER, PROBE_EVERY};
    use super::*;

    fn entry(trusted: &[&str], limit: Option<u16>) -> Entry {
        let networks = trusted.iter().map(|network| network.parse().unwrap());
        Entry {
            trust: Arc::new(TrustedProxies::new(networks)),
            crowd: Crowd::new(limit),
            proxy_protocol: None,
            timeout: Duration::from_secs(1),
        }
    }

    /// One more client of this machine, and its own end.
    async fn arrival(entry: &Entry) -> (Option<Client>, TcpStream) {
        let mut listeners = Listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let listener = listeners.remove(0);
        let address = listener.address();
        let socket = listener.open().unwrap();
        let permits = Arc::new(Semaphore::new(1));
        let entry = ArcSwap::from_pointee(entry.clone());
        let refusals = WorkerRefusals::default();
        let next = next(&socket, address, (&permits, &entry, &refusals));
        let (stream, client) = tokio::join!(TcpStream::connect(address), next);
        (client, stream.unwrap())
    }

    #[tokio::test]
    async fn a_client_is_probed_when_it_is_silent_and_answered_at_once() {
        let (client, _stream) = arrival(&entry(&[], None)).await;
        let accepted = client.unwrap().stream;
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), PROBE_AFTER);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), PROBE_EVERY);
        assert!(accepted.tcp_nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_trusted_peer_has_as_many_connections_as_its_clients_may() {
        let entry = entry(&["127.0.0.0/8"], Some(1));
        let mut open = Vec::new();
        for (source, is_let_in) in [
            ("192.0.2.7:1", true),
            ("192.0.2.7:2", false),
            ("192.0.2.8:1", true),
        ] {
            let (client, stream) = arrival(&entry).await;
            let announced = Announcement::Client {
                source: source.parse().unwrap(),
                destination: "192.0.2.1:443".parse().unwrap(),
            };
            let client =
                entry.announce(client.unwrap(), Some(announced), &WorkerRefusals::default());
            assert_eq!(client.is_some(), is_let_in, "{source}");
            open.push((client, stream));
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_not_trusted_is_counted_at_once() {
        let entry = entry(&[], Some(1));
        let (first, _stream) = arrival(&entry).await;
        assert!(first.is_some());
        assert!(arrival(&entry).await.0.is_none());
    }

    #[test]
    fn a_client_is_told_in_its_own_family() {
        for (seen, told) in [
            ("192.0.2.7:1", "192.0.2.7:1"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7:1"),
            ("[2001:db8::7]:1", "[2001:db8::7]:1"),
        ] {
            assert_eq!(canonical(seen.parse().unwrap()).to_string(), told);
        }
    }
}
