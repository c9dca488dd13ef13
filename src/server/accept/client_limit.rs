//! The use that one client makes of the proxy: its open connections, which are limited, and its shares of memory and of
//! connections to backends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::memory::{ClientMemory, StreamMemory};
use crate::proxy::{ClientKey, ClientShare};

/// Memory for streams where no limit is configured, as for connections that no listener has accepted.
const DEFAULT_STREAM_MEMORY: usize = 256 * 1024 * 1024;

/// Counts the open connections of each client, over all listeners. Clients without one are forgotten.
///
/// A client may also have no more than are free: one client gets at most half of all connections that may be open, two get a
/// third each, and so on. Some are always left for the next one.
#[derive(Clone, Debug)]
pub struct ClientLimit {
    limit: u16,
    memory: Arc<StreamMemory>,
    permits: Arc<Semaphore>,
    clients: Arc<Mutex<HashMap<ClientKey, Client>>>,
}

/// A client with open connections.
#[derive(Debug)]
struct Client {
    connections: u16,
    shares: ClientShares,
}

/// The shares of one client, or of a connection whose client is not known.
#[derive(Clone, Debug)]
pub(in crate::server) struct ClientShares {
    /// Connections to backends. `None` for a trusted peer, which has many clients.
    pub(in crate::server) backends: Option<Arc<ClientShare>>,
    pub(in crate::server) memory: Arc<ClientMemory>,
}

impl ClientLimit {
    /// Allows each client `limit` connections, of those for which there are `permits`. All of them have `memory` for their
    /// streams.
    #[must_use]
    pub fn new(limit: u16, memory: Arc<StreamMemory>, permits: Arc<Semaphore>) -> Self {
        Self {
            limit,
            memory,
            permits,
            clients: Arc::default(),
        }
    }

    /// Returns a limit that shares its counts with this one, for connections from now on.
    #[must_use]
    pub fn with_limit(&self, limit: u16) -> Self {
        Self {
            limit,
            ..self.clone()
        }
    }

    /// Counts a connection from `address` until the slot is dropped. Returns `None` when the client is at its limit.
    pub(super) fn admit(&self, address: IpAddr) -> Option<ClientSlot> {
        let key = ClientKey::of(address);
        let mut clients = self.clients.lock();
        let entry = clients.entry(key);
        let connections = match &entry {
            Entry::Occupied(entry) => entry.get().connections,
            Entry::Vacant(_) => 0,
        };
        let has_share =
            connections > 0 && usize::from(connections) >= self.permits.available_permits();
        if connections >= self.limit || has_share {
            return None;
        }
        let client = entry.or_insert_with(|| Client {
            connections: 0,
            shares: ClientShares {
                backends: Some(Arc::default()),
                memory: ClientMemory::new(&self.memory),
            },
        });
        client.connections += 1;
        Some(ClientSlot {
            shares: client.shares.clone(),
            _counted: Some(Box::new(Counted {
                limit: self.clone(),
                key,
            })),
        })
    }

    /// Returns the slot of a connection that does not count, since it is of a peer with many clients.
    pub(in crate::server) fn uncounted(&self) -> ClientSlot {
        ClientSlot::uncounted(&self.memory)
    }

    fn release(&self, key: ClientKey) {
        let mut clients = self.clients.lock();
        if let Entry::Occupied(mut entry) = clients.entry(key) {
            entry.get_mut().connections -= 1;
            if entry.get().connections == 0 {
                entry.remove();
            }
        }
    }
}

/// One counted connection of a client, or one that does not count. Released when dropped.
#[derive(Debug)]
pub(in crate::server) struct ClientSlot {
    shares: ClientShares,
    _counted: Option<Box<Counted>>,
}

impl ClientSlot {
    fn uncounted(memory: &Arc<StreamMemory>) -> Self {
        Self {
            shares: ClientShares {
                backends: None,
                memory: ClientMemory::new(memory),
            },
            _counted: None,
        }
    }
}

#[derive(Debug)]
struct Counted {
    limit: ClientLimit,
    key: ClientKey,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.limit.release(self.key);
    }
}

/// One of the connections that may be open in total, and one of those of its client. Released when dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    _permit: OwnedSemaphorePermit,
    client: ClientSlot,
}

impl ConnectionSlot {
    pub(in crate::server) fn new(permit: OwnedSemaphorePermit, client: ClientSlot) -> Self {
        Self {
            _permit: permit,
            client,
        }
    }

    /// Returns the shares of the connection's client.
    pub(in crate::server) fn shares(&self) -> &ClientShares {
        &self.client.shares
    }

    /// Counts the connection for the client that a PROXY header has named.
    pub(super) fn set_client(&mut self, client: ClientSlot) {
        self.client = client;
    }
}

impl From<OwnedSemaphorePermit> for ConnectionSlot {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        let memory = StreamMemory::new(DEFAULT_STREAM_MEMORY);
        Self::new(permit, ClientSlot::uncounted(&memory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limit(limit: u16) -> ClientLimit {
        let memory = StreamMemory::new(DEFAULT_STREAM_MEMORY);
        ClientLimit::new(limit, memory, Arc::new(Semaphore::new(10_000)))
    }

    #[test]
    fn each_client_has_a_limit_of_its_own() {
        let limit = limit(2);
        let first = limit.admit(ip("2001:db8::1"));
        let second = limit.admit(ip("2001:db8::2"));
        assert!(first.is_some() && second.is_some());
        assert!(limit.admit(ip("2001:db8::3")).is_none());
        assert!(limit.admit(ip("2001:db8:0:1::3")).is_some());
        drop(first);
        assert!(limit.admit(ip("2001:db8::3")).is_some());
    }

    #[test]
    fn each_client_leaves_connections_for_the_next() {
        let permits = Arc::new(Semaphore::new(100));
        let memory = StreamMemory::new(DEFAULT_STREAM_MEMORY);
        let limit = ClientLimit::new(1000, memory, Arc::clone(&permits));
        let mut open = Vec::new();
        let counts = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|client| {
            let before = open.len();
            while let Some(slot) = limit.admit(ip(client)) {
                let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
                open.push((slot, permit));
            }
            open.len() - before
        });
        assert_eq!(counts, [50, 25, 13]);
    }

    #[test]
    fn a_client_that_is_refused_leaves_nothing() {
        let limit = limit(0);
        assert!(limit.admit(ip("192.0.2.1")).is_none());
        assert!(limit.clients.lock().is_empty());
    }

    #[test]
    fn clients_without_a_connection_are_forgotten() {
        let limit = limit(2);
        let slots: Vec<_> = (0..1000)
            .map(|number| limit.admit(std::net::Ipv4Addr::from_bits(number).into()))
            .collect();
        assert_eq!(limit.clients.lock().len(), 1000);
        drop(slots);
        assert!(limit.clients.lock().is_empty());
    }

    #[test]
    fn all_connections_of_a_client_have_one_share() {
        let limit = limit(10);
        let slots: Vec<_> = (0..10).map(|_| limit.admit(ip("::1")).unwrap()).collect();
        let shares = |slot: &ClientSlot| slot.shares.backends.clone().unwrap();
        assert!(Arc::ptr_eq(&shares(&slots[0]), &shares(&slots[9])));
        let other = limit.admit(ip("192.0.2.1")).unwrap();
        assert!(!Arc::ptr_eq(&shares(&slots[0]), &shares(&other)));
        drop(slots);
        assert_eq!(limit.clients.lock().len(), 1);
    }
}
