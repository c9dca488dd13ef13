//! The share of one client in the connections to backends, and in the slots of a limit. However many a client wants,
//! others always find some.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::memory::ReleaseSignal;
use crate::upstream::connection::ConnectionHolder;

/// Connections to backends that one client holds, over all its own connections.
///
/// A connection that carries many requests at a time counts for the client that has opened it. A client may hold as many
/// as are free: one client gets at most half of all, two get a third each, and so on. Some are always left for the next
/// one.
#[derive(Debug, Default)]
pub struct ClientShare {
    held: AtomicUsize,
    released: ReleaseSignal,
}

impl ClientShare {
    /// Takes a connection while `free` ones are left. Returns `None` if the client has its share.
    pub(in crate::upstream) fn take(self: &Arc<Self>, free: usize) -> Option<HeldConnection> {
        let before = self.held.fetch_add(1, Ordering::Relaxed);
        if may_take(before, free) {
            return Some(HeldConnection(Arc::clone(self)));
        }
        // Nobody is notified: nothing was released.
        self.held.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Waits until it may be possible to take a connection or a place.
    pub(in crate::upstream) async fn released(&self) {
        self.released.wait().await;
    }
}

/// A connection that counts for its client until this is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct HeldConnection(Arc<ClientShare>);

impl ConnectionHolder for HeldConnection {
    fn stream_ended(&self) {
        self.0.released.tell();
    }
}

impl Drop for HeldConnection {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
        self.0.released.tell();
    }
}

/// `true` if a client that holds `held` may take one more while `free` are left. A client that holds none always may.
fn may_take(held: usize, free: usize) -> bool {
    held == 0 || held < free
}

/// One of so many places is kept for other clients than the one that has most.
const PLACES_PER_RESERVED: usize = 8;
/// Most places of which none is kept, since one client needs them all.
const TOO_FEW_TO_RESERVE: usize = 2;

/// Number of places that each client has, of those that all clients share: slots of a backend, or places in a queue.
///
/// One client may take all but a few. Those are shared like connections: a client may hold as many of them as are free.
#[derive(Debug)]
pub(in crate::upstream) struct ClientCounts {
    counts: Mutex<Counts>,
    places: usize,
    /// Places that are kept for clients that hold few.
    reserved: usize,
}

#[derive(Debug, Default)]
struct Counts {
    of_all: usize,
    of_client: HashMap<usize, usize>,
}

impl ClientCounts {
    /// Counts of clients that share so many places.
    pub(in crate::upstream) fn new(places: usize) -> Arc<Self> {
        let reserved = if places <= TOO_FEW_TO_RESERVE {
            0
        } else {
            places.div_ceil(PLACES_PER_RESERVED)
        };
        Arc::new(Self {
            counts: Mutex::default(),
            places,
            reserved,
        })
    }

    /// Counts one more place for the client while `free` ones are left. Returns `None` if the client has its share.
    pub(in crate::upstream) fn take(
        self: &Arc<Self>,
        client: &Arc<ClientShare>,
        free: usize,
    ) -> Option<CountedPlace> {
        let mut counts = self.counts.lock();
        // Several workers may have found the same one free.
        let free = free.min(self.places.saturating_sub(counts.of_all));
        let held = counts.of_client.get(&key(client)).copied();
        let held = held.unwrap_or_default();
        if free <= self.reserved && !may_take(held, free) {
            return None;
        }
        counts.of_client.insert(key(client), held + 1);
        counts.of_all += 1;
        Some(CountedPlace {
            counts: Arc::clone(self),
            client: Arc::clone(client),
        })
    }
}

/// Identifies the client as long as it has a place, which keeps its share at this address.
fn key(client: &Arc<ClientShare>) -> usize {
    Arc::as_ptr(client).addr()
}

/// A place that counts for its client until this is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct CountedPlace {
    counts: Arc<ClientCounts>,
    client: Arc<ClientShare>,
}

impl Drop for CountedPlace {
    fn drop(&mut self) {
        let mut counts = self.counts.counts.lock();
        counts.of_all -= 1;
        if let Entry::Occupied(mut entry) = counts.of_client.entry(key(&self.client)) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        drop(counts);
        self.client.released.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memory::RECHECK;

    /// Takes as many connections of `free` as the client gets.
    fn take_all(client: &Arc<ClientShare>, free: &mut usize) -> Vec<HeldConnection> {
        let mut all = Vec::new();
        while let Some(held) = client.take(*free) {
            all.push(held);
            *free = free.saturating_sub(1);
        }
        all
    }

    #[test]
    fn each_client_leaves_connections_for_the_next() {
        let mut free = 100;
        let clients: Vec<Arc<ClientShare>> = (0..4).map(|_| Arc::default()).collect();
        let taken: Vec<_> = clients
            .iter()
            .map(|client| take_all(client, &mut free))
            .collect();
        let counts: Vec<_> = taken.iter().map(Vec::len).collect();
        assert_eq!(counts, [50, 25, 13, 6]);
        assert_eq!(free, 6);
    }

    #[test]
    fn a_client_without_a_connection_may_always_ask_for_one() {
        let client = Arc::<ClientShare>::default();
        let held = client.take(0);
        assert!(held.is_some());
        assert!(client.take(1).is_none());
        drop(held);
        assert!(client.take(0).is_some());
    }

    #[test]
    fn each_client_leaves_places_for_the_next_and_is_forgotten_without_one() {
        let counts = ClientCounts::new(20);
        let clients: Vec<Arc<ClientShare>> = (0..3).map(|_| Arc::default()).collect();
        let (mut all, mut taken) = (Vec::new(), Vec::new());
        for client in &clients {
            let before = all.len();
            while let Some(place) = counts.take(client, 20 - all.len()) {
                all.push(place);
            }
            taken.push(all.len() - before);
        }
        assert_eq!(taken, [17, 2, 1]);
        drop(all);
        let counts = counts.counts.lock();
        assert!(counts.of_client.is_empty() && counts.of_all == 0);
    }

    #[test]
    fn a_client_alone_gets_nearly_all_places_and_all_of_a_few() {
        for (places, expected) in [(1, 1), (2, 2), (3, 2), (8, 7), (9, 7), (100, 87)] {
            let (counts, client) = (ClientCounts::new(places), Arc::default());
            let mut all = Vec::new();
            while all.len() < places
                && let Some(place) = counts.take(&client, places - all.len())
            {
                all.push(place);
            }
            assert_eq!(all.len(), expected, "of {places}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_request_of_the_client_gets_what_another_releases() {
        let client = Arc::<ClientShare>::default();
        let held = client.take(1);
        let begin = tokio::time::Instant::now();
        let releasing = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        tokio::join!(client.released(), releasing);
        assert_eq!(begin.elapsed(), Duration::ZERO);
        client.released().await;
        assert_eq!(begin.elapsed(), RECHECK, "others release theirs too");
    }
}
