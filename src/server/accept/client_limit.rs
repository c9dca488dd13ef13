//! The use that one client makes of the proxy: its open connections, which are limited, and its shares of memory and of
//! connections to backends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use crate::memory::{ClientMemory, StreamMemory};
use crate::proxy::{ClientKey, ClientShare};

/// Memory for streams where no limit is configured, as for connections that no listener has accepted.
const DEFAULT_STREAM_MEMORY: usize = 256 * 1024 * 1024;

/// Counts the open connections of each client, over all listeners. Clients without one are forgotten.
#[derive(Clone, Debug)]
pub struct ClientLimit {
    limit: u16,
    memory: Arc<StreamMemory>,
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
    /// Allows each client `limit` connections. All of them have `memory` for their streams.
    #[must_use]
    pub fn new(limit: u16, memory: Arc<StreamMemory>) -> Self {
        Self {
            limit,
            memory,
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
        let client = clients.entry(key).or_insert_with(|| Client {
            connections: 0,
            shares: ClientShares {
                backends: Some(Arc::default()),
                memory: ClientMemory::new(&self.memory),
            },
        });
        if client.connections >= self.limit {
            return None;
        }
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
    pub(super) fn uncounted(&self) -> ClientSlot {
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
pub(super) struct ClientSlot {
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
    pub(super) fn new(permit: OwnedSemaphorePermit, client: ClientSlot) -> Self {
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
        ClientLimit::new(limit, StreamMemory::new(DEFAULT_STREAM_MEMORY))
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
