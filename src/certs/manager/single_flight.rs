//! One task per key at a time, and any number of waiters for its value. Knows neither names nor certificates.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::watch;

/// The keys whose values are being computed, each by one leader.
#[derive(Debug)]
pub(super) struct SingleFlight<K: Eq + Hash, V> {
    flights: Arc<DashMap<K, Flight<V>>>,
    max_waiting: usize,
}

/// The progress of a leader.
#[derive(Clone, Debug)]
enum Progress<V> {
    Pending,
    Interim(V),
    Done(V),
}

/// A reason why a wait ended without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlightError {
    /// The limit of waiters for the key is reached.
    TooManyWaiting,
    /// The leader ended without a value.
    Abandoned,
}

/// A wait for the value of one key.
#[derive(Clone, Debug)]
pub(super) struct Flight<V> {
    progress: watch::Receiver<Progress<V>>,
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
}

/// The one task that computes a key's value. Dropping it frees the key, however the task ends.
#[derive(Debug)]
pub(super) struct Leader<K: Eq + Hash, V> {
    flights: Arc<DashMap<K, Flight<V>>>,
    key: K,
    progress: watch::Sender<Progress<V>>,
    is_done: bool,
}

impl<K: Clone + Eq + Hash, V: Clone> SingleFlight<K, V> {
    /// No keys yet. At most `max_waiting` may wait for the first value of each key.
    pub(super) fn new(max_waiting: usize) -> Self {
        Self {
            flights: Arc::default(),
            max_waiting,
        }
    }

    /// Joins the flight of `key`. If there is none, starts one: `lead` gets the new leader.
    pub(super) fn join(&self, key: &K, lead: impl FnOnce(Leader<K, V>)) -> Flight<V> {
        match self.flights.entry(key.clone()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let (sender, progress) = watch::channel(Progress::Pending);
                let flight = Flight {
                    progress,
                    waiting: Arc::default(),
                    max_waiting: self.max_waiting,
                };
                entry.insert(flight.clone());
                lead(Leader {
                    flights: Arc::clone(&self.flights),
                    key: key.clone(),
                    progress: sender,
                    is_done: false,
                });
                flight
            }
        }
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.flights.contains_key(key)
    }

    /// Number of keys whose values are being computed.
    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }
}

impl<V: Clone> Flight<V> {
    /// Waits for the interim or the final value, whichever comes first.
    pub(super) async fn first(mut self) -> Result<V, FlightError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.max_waiting {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(FlightError::TooManyWaiting);
        }
        let waiting = Arc::clone(&self.waiting);
        let _waiter = Waiter(&waiting);
        let is_known = |progress: &Progress<V>| !matches!(progress, Progress::Pending);
        match self.progress.wait_for(is_known).await.as_deref() {
            Ok(Progress::Interim(value) | Progress::Done(value)) => Ok(value.clone()),
            Ok(Progress::Pending) | Err(_) => Err(FlightError::Abandoned),
        }
    }

    /// Waits for the final value.
    pub(super) async fn last(mut self) -> Result<V, FlightError> {
        let is_done = |progress: &Progress<V>| matches!(progress, Progress::Done(_));
        match self.progress.wait_for(is_done).await.as_deref() {
            Ok(Progress::Done(value)) => Ok(value.clone()),
            _ => Err(FlightError::Abandoned),
        }
    }
}

struct Waiter<'a>(&'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<K: Eq + Hash, V> Leader<K, V> {
    /// Gives an interim value to those who wait in [`Flight::first`].
    pub(super) fn publish(&self, interim: V) {
        self.progress.send_replace(Progress::Interim(interim));
    }

    /// Frees the key, then gives the final value to all waiters. Whoever joins later starts a new flight.
    pub(super) fn finish(&mut self, value: V) {
        self.flights.remove(&self.key);
        self.is_done = true;
        self.progress.send_replace(Progress::Done(value));
    }
}

impl<K: Eq + Hash, V> Drop for Leader<K, V> {
    fn drop(&mut self) {
        if !self.is_done {
            self.flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joins the flight of "key", and returns its leader if the flight is new.
    fn join(
        flights: &SingleFlight<&'static str, u8>,
    ) -> (Flight<u8>, Option<Leader<&'static str, u8>>) {
        let mut leader = None;
        let flight = flights.join(&"key", |new| leader = Some(new));
        (flight, leader)
    }

    #[tokio::test]
    async fn all_who_join_get_the_value_of_one_leader() {
        let flights = SingleFlight::new(2);
        let (one, leader) = join(&flights);
        let (two, none) = join(&flights);
        assert!(none.is_none());
        let mut leader = leader.unwrap();
        leader.publish(1);
        assert_eq!(one.clone().first().await, Ok(1));
        leader.finish(2);
        assert!(!flights.contains(&"key"));
        assert_eq!((one.first().await, two.last().await), (Ok(2), Ok(2)));
    }

    #[tokio::test]
    async fn a_leader_that_ends_without_a_value_frees_only_its_own_key() {
        let flights = SingleFlight::new(1);
        let (abandoned, leader) = join(&flights);
        drop(leader);
        assert_eq!(abandoned.last().await, Err(FlightError::Abandoned));
        let (_, leader) = join(&flights);
        let mut leader = leader.unwrap();
        leader.finish(1);
        let (_, next) = join(&flights);
        drop(leader);
        assert!(next.is_some() && flights.len() == 1);
    }
}
