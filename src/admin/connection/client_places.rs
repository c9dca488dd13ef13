//! The places that each client may take at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::proxy::ClientKey;

/// Counts the places that each client has taken, up to a limit. Clients without one are forgotten.
#[derive(Clone, Debug)]
pub(in crate::admin) struct ClientPlaces {
    limit: usize,
    taken: Arc<Mutex<HashMap<ClientKey, usize>>>,
}

/// A place of one client. It is free again when it is dropped.
#[derive(Debug)]
pub(in crate::admin) struct ClientPlace {
    client: ClientKey,
    /// Number of places that the client had taken with this one.
    pub(in crate::admin) number: usize,
    taken: Arc<Mutex<HashMap<ClientKey, usize>>>,
}

impl ClientPlaces {
    /// Allows each client to take `limit` places at once.
    pub(in crate::admin) fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: Arc::default(),
        }
    }

    /// Takes a place for a client. `None` if it has as many as it may have.
    pub(in crate::admin) fn take(&self, client: ClientKey) -> Option<ClientPlace> {
        let mut taken = self.taken.lock();
        let entry = taken.entry(client);
        let before = match &entry {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(_) => 0,
        };
        if before >= self.limit {
            return None;
        }
        let number = before + 1;
        entry.insert_entry(number);
        Some(ClientPlace {
            client,
            number,
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Entry::Occupied(mut entry) = taken.entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> ClientKey {
        ClientKey::of(address.parse().unwrap())
    }

    #[test]
    fn each_client_has_its_own_places_and_gets_them_back() {
        let places = ClientPlaces::new(2);
        let one = client("192.0.2.1");
        let first = places.take(one).unwrap();
        let second = places.take(one).unwrap();
        assert_eq!((first.number, second.number), (1, 2));
        assert!(places.take(one).is_none());
        assert!(places.take(client("192.0.2.2")).is_some());
        drop(first);
        assert_eq!(places.take(one).unwrap().number, 2);
    }

    #[test]
    fn the_addresses_of_a_network_are_one_client() {
        let places = ClientPlaces::new(1);
        let _place = places.take(client("2001:db8::1"));
        assert!(places.take(client("2001:db8::2")).is_none());
        assert!(places.take(client("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn clients_without_a_place_are_forgotten() {
        let places = ClientPlaces::new(1);
        let place = places.take(client("192.0.2.1"));
        assert!(places.take(client("192.0.2.1")).is_none());
        drop(place);
        assert!(places.taken.lock().is_empty());
    }
}
