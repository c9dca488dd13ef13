//! Limit of the requests in flight at one backend, in which each client has a share.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::client_share::{ClientCounts, ClientShare, CountedPlace};
use crate::tasks::Tasks;

/// Interval at which requests from before a limit are counted again.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Limit of the requests in flight at one backend, over all workers together.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct MaxConnections {
    count: u16,
    slots: Arc<Semaphore>,
    clients: Arc<ClientCounts>,
}

/// One of the slots that a limit allows, held until it is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct LimitSlot {
    // Released before the client is told that it may take another one.
    _permit: SlotPermit,
    _place: Option<CountedPlace>,
}

/// A permit that is smaller than one of the semaphore's own, because every request has room for it.
#[derive(Debug)]
struct SlotPermit(Arc<Semaphore>);

impl Drop for SlotPermit {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl MaxConnections {
    /// A limit of `count` requests.
    pub(in crate::upstream) fn new(count: u16) -> Self {
        Self::with_slots(count, count.into())
    }

    fn with_slots(count: u16, slots: usize) -> Self {
        Self {
            count,
            slots: Arc::new(Semaphore::new(slots)),
            clients: ClientCounts::new(count.into()),
        }
    }

    /// A limit of `count` requests, of whose slots some are kept for requests that are already in flight. A task frees
    /// these slots as the requests end. `in_flight` must return the number of all requests, with and without a slot.
    pub(super) fn counting(
        count: u16,
        in_flight: impl Fn() -> usize + Send + 'static,
        tasks: &Tasks,
    ) -> Self {
        let requests = in_flight();
        let kept = requests.min(count.into());
        if kept == 0 {
            return Self::new(count);
        }
        let limit = Self::with_slots(count, usize::from(count) - kept);
        let (weak, shutdown) = (Arc::downgrade(&limit.slots), tasks.shutdown());
        let earlier = Earlier { requests, kept };
        tasks.spawn(async move {
            tokio::select! {
                () = free_slots(earlier, count.into(), weak, in_flight) => {}
                () = shutdown.requested() => {}
            }
        });
        limit
    }

    pub(super) fn count(&self) -> u16 {
        self.count
    }

    pub(super) fn has_room(&self) -> bool {
        self.slots.available_permits() > 0
    }

    /// Takes a slot. Returns `None` if all are taken, or if the client has its share.
    pub(in crate::upstream) fn take(&self, client: Option<&Arc<ClientShare>>) -> Option<LimitSlot> {
        let place = match client {
            None => None,
            Some(client) => Some(self.place(client)?),
        };
        self.slots.try_acquire().ok()?.forget();
        Some(self.slot(place))
    }

    /// Waits for a slot. Requests are served in the order of their arrival; those of a client that has its share wait
    /// beside the others.
    pub(in crate::upstream) async fn wait(self, client: Option<Arc<ClientShare>>) -> LimitSlot {
        let place = match &client {
            None => None,
            Some(client) => loop {
                if let Some(place) = self.place(client) {
                    break Some(place);
                }
                client.released().await;
            },
        };
        let permit = self.slots.acquire().await;
        permit.expect("nobody closes the slots").forget();
        self.slot(place)
    }

    fn slot(&self, place: Option<CountedPlace>) -> LimitSlot {
        LimitSlot {
            _permit: SlotPermit(Arc::clone(&self.slots)),
            _place: place,
        }
    }

    fn place(&self, client: &Arc<ClientShare>) -> Option<CountedPlace> {
        self.clients.take(client, self.slots.available_permits())
    }
}

/// Requests from before the limit, which hold no slot of their own.
struct Earlier {
    requests: usize,
    /// Number of slots that are kept for them.
    kept: usize,
}

/// Frees the slots that are kept for earlier requests as these end.
async fn free_slots(
    mut earlier: Earlier,
    count: usize,
    slots: Weak<Semaphore>,
    in_flight: impl Fn() -> usize,
) {
    while earlier.kept > 0 {
        sleep(POLL_EVERY).await;
        let Some(slots) = slots.upgrade() else {
            return;
        };
        // The estimate of earlier requests may be too high, but must never be too low. Therefore the sum is read both
        // before and after the number of new requests, and the larger sum counts: a request that begins in between is
        // missing in the first one, and a request that ends in between in the second one.
        let before = in_flight();
        let new = (count - earlier.kept).saturating_sub(slots.available_permits());
        let left = before.max(in_flight()).saturating_sub(new);
        earlier.requests = earlier.requests.min(left);
        let over = earlier.kept - earlier.kept.min(earlier.requests);
        slots.add_permits(over);
        earlier.kept -= over;
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn other_clients_find_a_slot_however_many_one_client_wants() {
        let limit = MaxConnections::new(4);
        let (greedy, other) = (Arc::default(), Arc::default());
        let one = limit.take(Some(&greedy)).unwrap();
        let others = [(); 2].map(|()| limit.take(Some(&greedy)).unwrap());
        assert!(limit.take(Some(&greedy)).is_none());
        let tasks = Tasks::new();
        let waiting = tasks.spawn(limit.clone().wait(Some(Arc::clone(&greedy))));
        assert!(limit.take(Some(&other)).is_some());
        drop(one);
        let next = timeout(POLL_EVERY, waiting).await;
        assert!(next.unwrap().is_ok());
        drop(others);
    }

    #[tokio::test]
    async fn a_client_alone_may_fill_a_limit_of_one() {
        let limit = MaxConnections::new(1);
        let client = Arc::default();
        let slot = limit.take(Some(&client)).unwrap();
        assert!(!limit.has_room());
        assert!(limit.take(Some(&client)).is_none());
        drop(slot);
        assert!(limit.take(Some(&client)).is_some());
    }

    #[tokio::test]
    async fn a_client_alone_may_fill_a_limit_of_two() {
        let limit = MaxConnections::new(2);
        let client = Arc::default();
        let slots = [(); 2].map(|()| limit.take(Some(&client)));
        assert!(slots.iter().all(Option::is_some));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_request_that_ends_while_counting_frees_no_earlier_slot() {
        let slots = Arc::new(Semaphore::new(1));
        let new = Arc::clone(&slots).try_acquire_owned().unwrap();
        let new = Mutex::new((Some(new), 0));
        // One earlier request, and a new one that ends at the second count.
        let in_flight = || {
            let mut new = new.lock();
            new.1 += 1;
            if new.1 == 2 {
                new.0 = None;
            }
            1 + usize::from(new.0.is_some())
        };
        let freeing = free_slots(
            Earlier {
                requests: 1,
                kept: 1,
            },
            2,
            Arc::downgrade(&slots),
            in_flight,
        );
        timeout(10 * POLL_EVERY, freeing).await.unwrap_err();
        assert_eq!(slots.available_permits(), 1);
    }
}
