//! Limit of the requests that one backend serves at once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::tasks::Tasks;

/// Time between looks whether requests from before a limit are over.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// A limit over all workers: a limit for each of them would not bound the sum.
#[derive(Clone, Debug)]
pub(super) struct MaxConnections {
    count: u16,
    slots: Arc<Semaphore>,
}

impl MaxConnections {
    /// A limit of `count` requests, of which none is under way.
    pub(super) fn new(count: u16) -> Self {
        Self {
            count,
            slots: Arc::new(Semaphore::new(count.into())),
        }
    }

    /// A limit that also counts the requests which are under way without a slot in it. `in_flight` returns the number of
    /// requests with and without one.
    pub(super) fn counting(
        count: u16,
        in_flight: impl Fn() -> usize + Send + 'static,
        tasks: &Tasks,
    ) -> Self {
        let under_way = in_flight();
        if under_way == 0 {
            return Self::new(count);
        }
        let kept = under_way.min(count.into());
        let slots = Arc::new(Semaphore::new(usize::from(count) - kept));
        let (weak, shutdown) = (Arc::downgrade(&slots), tasks.shutdown());
        let earlier = Earlier {
            requests: under_way,
            kept,
        };
        tasks.spawn(async move {
            tokio::select! {
                () = give_back(earlier, count.into(), weak, in_flight) => {}
                () = shutdown.requested() => {}
            }
        });
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

/// Requests from before the limit.
struct Earlier {
    requests: usize,
    /// Number of slots that are kept for them.
    kept: usize,
}

/// Frees the slots that are kept for earlier requests, as these end.
async fn give_back(
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
        // The number of earlier requests may be taken for too high, but never for too low. So the sum is read before and after
        // the number of new requests: one that begins meanwhile is missing in the first sum, one that ends in the second.
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
    async fn a_new_request_that_goes_just_now_sets_no_old_one_free() {
        let slots = Arc::new(Semaphore::new(1));
        let new = Arc::clone(&slots).try_acquire_owned().unwrap();
        let new = Mutex::new((Some(new), 0));
        // One old request, and a new one that goes at the second look.
        let in_flight = || {
            let mut new = new.lock();
            new.1 += 1;
            if new.1 == 2 {
                new.0 = None;
            }
            1 + usize::from(new.0.is_some())
        };
        let giving = give_back(
            Earlier {
                requests: 1,
                kept: 1,
            },
            2,
            Arc::downgrade(&slots),
            in_flight,
        );
        tokio::time::timeout(10 * POLL_EVERY, giving)
            .await
            .unwrap_err();
        assert_eq!(slots.available_permits(), 1);
    }
}
