//! Limit of the requests in flight at one backend.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::tasks::Tasks;

/// Interval at which requests from before a limit are counted again.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Limit of the requests in flight at one backend, over all workers together.
#[derive(Clone, Debug)]
pub(super) struct MaxConnections {
    count: u16,
    slots: Arc<Semaphore>,
}

impl MaxConnections {
    /// A limit of `count` requests, of whose slots some are kept for requests that are already in flight. A task frees
    /// these slots as the requests end. `in_flight` must return the number of all requests, with and without a slot.
    pub(super) fn counting(
        count: u16,
        in_flight: impl Fn() -> usize + Send + 'static,
        tasks: &Tasks,
    ) -> Self {
        let requests = in_flight();
        let kept = requests.min(count.into());
        let slots = Arc::new(Semaphore::new(usize::from(count) - kept));
        if kept > 0 {
            let (weak, shutdown) = (Arc::downgrade(&slots), tasks.shutdown());
            let earlier = Earlier { requests, kept };
            tasks.spawn(async move {
                tokio::select! {
                    () = free_slots(earlier, count.into(), weak, in_flight) => {}
                    () = shutdown.requested() => {}
                }
            });
        }
        Self { count, slots }
    }

    pub(super) fn count(&self) -> u16 {
        self.count
    }

    pub(super) fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    pub(super) fn has_room(&self) -> bool {
        self.slots.available_permits() > 0
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

    use super::*;

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
        tokio::time::timeout(10 * POLL_EVERY, freeing)
            .await
            .unwrap_err();
        assert_eq!(slots.available_permits(), 1);
    }
}
