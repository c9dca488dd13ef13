//! Counts the requests of one connection that its client resets after they have reached a handler. Each costs the client two small
//! frames, and may cost a backend a whole response.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::gcra::{Gcra, Meter};

/// Resets that a connection may have at once: twice as many as it has streams by default. A browser that leaves a page resets
/// all of them together.
const BURST: u16 = 500;
/// Resets that it may have per second for longer.
const PER_SECOND: u16 = 20;

/// The resets of one connection.
#[derive(Debug)]
pub(in crate::server) struct ClientResets {
    counted: Mutex<Option<(Gcra, Meter)>>,
    is_flood: AtomicBool,
    is_limited: bool,
}

impl ClientResets {
    /// The resets of a connection. Those of a trusted peer are not limited: its connection carries requests of many clients.
    pub(super) fn new(is_trusted: bool) -> Self {
        Self {
            counted: Mutex::new(None),
            is_flood: AtomicBool::new(false),
            is_limited: !is_trusted,
        }
    }

    /// Counts a reset.
    pub(in crate::server) fn count(&self) {
        if !self.is_limited {
            return;
        }
        let mut counted = self.counted.lock();
        let (rate, meter) = counted.get_or_insert_with(|| {
            let rate = Gcra::new(PER_SECOND, Duration::from_secs(1), BURST);
            (rate, Meter::default())
        });
        if rate.take(meter, Instant::now()).is_err() {
            self.is_flood.store(true, Ordering::Relaxed);
        }
    }

    /// `true` once there were too many.
    pub(in crate::server) fn is_flood(&self) -> bool {
        self.is_flood.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_left_is_no_flood_and_resets_without_end_are() {
        let resets = ClientResets::new(false);
        for _ in 0..BURST {
            resets.count();
        }
        assert!(!resets.is_flood());
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            for _ in 0..PER_SECOND {
                resets.count();
            }
        }
        assert!(!resets.is_flood());
        for _ in 0..2 {
            resets.count();
        }
        assert!(resets.is_flood());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trusted_peer_may_reset_as_much_as_its_clients_do() {
        let resets = ClientResets::new(true);
        for _ in 0..10 * BURST {
            resets.count();
        }
        assert!(!resets.is_flood());
    }
}
