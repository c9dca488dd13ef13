//! How many requests a backend serves at once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::tasks::Tasks;

/// How often it is looked whether requests from before a limit are over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A limit over all runtimes: one that each kept for itself would be none.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    count: u16,
    places: Arc<Semaphore>,
}

impl Limit {
    /// A limit for so many requests, of which none is under way.
    pub(super) fn new(count: u16) -> Self {
        Self {
            count,
            places: Arc::new(Semaphore::new(count.into())),
        }
    }

    /// A limit that also counts the requests which are under way without a place in it. `in_flight` says how many there are
    /// with and without one.
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
        let places = Arc::new(Semaphore::new(usize::from(count) - kept));
        let (weak, shutdown) = (Arc::downgrade(&places), tasks.shutdown());
        tasks.spawn(async move {
            tokio::select! {
                () = give_back((under_way, kept), count.into(), weak, in_flight) => {}
                () = shutdown.requested() => {}
            }
        });
        Self { count, places }
    }

    pub(super) fn count(&self) -> u16 {
        self.count
    }

    pub(super) fn places(&self) -> &Arc<Semaphore> {
        &self.places
    }

    pub(super) fn has_room(&self) -> bool {
        self.places.available_permits() > 0
    }
}

/// Gives the places that are kept for `old` requests free, as these end.
async fn give_back(
    (mut old, mut kept): (usize, usize),
    count: usize,
    places: Weak<Semaphore>,
    in_flight: impl Fn() -> usize,
) {
    while kept > 0 {
        sleep(LOOK_EVERY).await;
        let Some(places) = places.upgrade() else {
            return;
        };
        // No old request may be taken for over, but a new one for old: the sum is read on both sides of its new part, since
        // a new request that comes is missing in the one before, and one that goes in the one behind.
        let before = in_flight();
        let new = (count - kept).saturating_sub(places.available_permits());
        old = old.min(before.max(in_flight()).saturating_sub(new));
        let over = kept - kept.min(old);
        places.add_permits(over);
        kept -= over;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_request_that_goes_just_now_sets_no_old_one_free() {
        let places = Arc::new(Semaphore::new(1));
        let new = Arc::clone(&places).try_acquire_owned().unwrap();
        let new = Mutex::new((Some(new), 0));
        // One old request, and a new one that goes at the second look.
        let in_flight = || {
            let mut new = new.lock().unwrap_or_else(PoisonError::into_inner);
            new.1 += 1;
            if new.1 == 2 {
                new.0 = None;
            }
            1 + usize::from(new.0.is_some())
        };
        let giving = give_back((1, 1), 2, Arc::downgrade(&places), in_flight);
        tokio::time::timeout(10 * LOOK_EVERY, giving)
            .await
            .unwrap_err();
        assert_eq!(places.available_permits(), 1);
    }
}
