//! The limit of open connections per client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use crate::proxy::ClientKey;

/// Counts the open connections of each client, over all listeners. Clients without one are forgotten.
#[derive(Clone, Debug)]
pub struct ClientLimit {
    limit: Option<u16>,
    counts: Arc<Mutex<HashMap<ClientKey, u16>>>,
}

impl ClientLimit {
    /// Allows each client `limit` connections, or any number.
    #[must_use]
    pub fn new(limit: Option<u16>) -> Self {
        Self {
            limit,
            counts: Arc::default(),
        }
    }

    /// Returns a limit that shares its counts with this one, for connections from now on.
    #[must_use]
    pub fn with_limit(&self, limit: Option<u16>) -> Self {
        Self {
            limit,
            counts: Arc::clone(&self.counts),
        }
    }

    /// Counts a connection from `address` until the slot is dropped. Returns `None` when the client is at its limit.
    pub(super) fn admit(&self, address: IpAddr) -> Option<ClientSlot> {
        let Some(limit) = self.limit else {
            return Some(ClientSlot::default());
        };
        let key = ClientKey::of(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(key).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(ClientSlot {
            _counted: Some(Box::new(Counted {
                limit: self.clone(),
                key,
            })),
        })
    }

    fn release(&self, key: ClientKey) {
        let mut counts = self.counts.lock();
        if let Entry::Occupied(mut entry) = counts.entry(key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// One counted connection of a client, or one that does not count. Released when dropped.
#[derive(Debug, Default)]
pub(super) struct ClientSlot {
    _counted: Option<Box<Counted>>,
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

    /// Counts the connection for the client that a PROXY header has named.
    pub(super) fn set_client(&mut self, client: ClientSlot) {
        self.client = client;
    }
}

impl From<OwnedSemaphorePermit> for ConnectionSlot {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self::new(permit, ClientSlot::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_client_has_a_limit_of_its_own() {
        let limit = ClientLimit::new(Some(2));
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
        let limit = ClientLimit::new(Some(2));
        let slots: Vec<_> = (0..1000)
            .map(|number| limit.admit(std::net::Ipv4Addr::from_bits(number).into()))
            .collect();
        assert_eq!(limit.counts.lock().len(), 1000);
        drop(slots);
        assert!(limit.counts.lock().is_empty());
    }

    #[test]
    fn without_a_limit_no_client_is_counted() {
        let limit = ClientLimit::new(None);
        let _slots: Vec<_> = (0..10).map(|_| limit.admit(ip("::1")).unwrap()).collect();
        assert!(limit.counts.lock().is_empty());
    }
}
