//! The accept loop: bounded, and it survives what a busy machine does to it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, error, warn};

use super::Listener;
use super::crowd::{Crowd, Place};
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
}

/// One listener with its share of the connections.
#[derive(Debug)]
pub struct Door {
    listener: Listener,
    permits: Arc<Semaphore>,
    crowd: Crowd,
    tasks: Tasks,
}

impl Door {
    /// A door that lets in as many connections as `permits` has, over all doors that share it.
    #[must_use]
    pub fn new(listener: Listener, permits: Arc<Semaphore>, tasks: Tasks) -> Self {
        Self {
            listener,
            permits,
            crowd: Crowd::new(None),
            tasks,
        }
    }

    /// The same door, closed to clients that have as many connections as `crowd` lets them have.
    #[must_use]
    pub fn limiting(self, crowd: Crowd) -> Self {
        Self { crowd, ..self }
    }

    /// Accepts until the process stops; each connection runs in a task of its own, on the runtime that this runs on.
    pub async fn run<F, Served>(self, serve: F)
    where
        F: Fn(Client, Shutdown) -> Served,
        Served: Future<Output = ()> + Send + 'static,
    {
        let Self {
            listener,
            permits,
            crowd,
            tasks,
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
        loop {
            let client = tokio::select! {
                () = shutdown.requested() => return,
                client = next(&socket, address, (&permits, &crowd)) => client,
            };
            if let Some(client) = client {
                tasks.spawn(serve(client, shutdown.clone()));
            }
        }
    }
}

/// The next client. Its place is waited for when it is there already, so that no door keeps one for itself.
async fn next(
    socket: &TcpListener,
    address: SocketAddr,
    (permits, crowd): (&Arc<Semaphore>, &Crowd),
) -> Option<Client> {
    match socket.accept().await {
        Ok((stream, peer)) => {
            let peer = canonical(peer);
            let Some(member) = crowd.admit(peer.ip()) else {
                debug!(client.addr = %peer, "client has too many connections");
                return None;
            };
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

/// IPv4 clients of an IPv6 socket are shown as what they are.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
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

    #[tokio::test]
    async fn a_client_is_probed_when_it_is_silent_and_answered_at_once() {
        let mut listeners = Listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let listener = listeners.remove(0);
        let address = listener.address();
        let socket = listener.open().unwrap();
        let permits = Arc::new(Semaphore::new(1));
        let crowd = Crowd::new(None);
        let next = next(&socket, address, (&permits, &crowd));
        let (stream, client) = tokio::join!(TcpStream::connect(address), next);
        let accepted = client.unwrap().stream;
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), PROBE_AFTER);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), PROBE_EVERY);
        assert!(accepted.tcp_nodelay().unwrap());
        drop(stream);
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
