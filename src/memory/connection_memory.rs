//! The memory that the requests of one connection hold. Small amounts are the connection's own; for more, it draws on the share
//! of its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client_memory::{ClientMemory, SHARE, SHARE_FOR_RUNNING, SHARE_FOR_WINDOWS};
use super::release_signal::ReleaseSignal;

/// Bytes that every connection may hold, so that ordinary ones touch no counter that other cores use.
const OWN: usize = 64 * 1024;
/// Unit in which more is drawn, so that a busy connection seldom draws.
const BLOCK: usize = 256 * 1024;
/// Unit in which more is drawn when the client has no whole block left.
const SMALL_BLOCK: usize = 16 * 1024;
/// Both units.
const UNITS: [usize; 2] = [BLOCK, SMALL_BLOCK];
/// Bytes from which on a connection is busy.
const BUSY: usize = 4 * OWN;

/// Memory of one connection.
#[derive(Debug)]
pub struct ConnectionMemory {
    client: Arc<ClientMemory>,
    used: AtomicUsize,
    /// Bytes drawn from the client's share.
    drawn: AtomicUsize,
    given_back: ReleaseSignal,
}

impl ConnectionMemory {
    /// Memory of a connection of this client.
    #[must_use]
    pub fn new(client: Arc<ClientMemory>) -> Arc<Self> {
        Arc::new(Self {
            client,
            used: AtomicUsize::new(0),
            drawn: AtomicUsize::new(0),
            given_back: ReleaseSignal::default(),
        })
    }

    /// Holds `bytes` until the result is dropped. Returns `None` if the client has its share.
    #[must_use]
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Option<HeldMemory> {
        self.take(bytes, SHARE).then(|| self.held(bytes))
    }

    /// Holds `bytes` for a request that begins to run. Returns `None` if the client has its share of those.
    #[must_use]
    pub fn hold_to_run(self: &Arc<Self>, bytes: usize) -> Option<HeldMemory> {
        self.take(bytes, SHARE_FOR_RUNNING)
            .then(|| self.held(bytes))
    }

    /// Holds `bytes` for a request that waits to run. Draws no more than it needs, since requests that run would get the rest.
    #[must_use]
    pub fn hold_to_wait(self: &Arc<Self>, bytes: usize) -> Option<HeldMemory> {
        self.take_in(bytes, SHARE, &[SMALL_BLOCK])
            .then(|| self.held(bytes))
    }

    /// Holds `bytes` for a window, which only may be used. Windows get no more than a part of the client's share.
    pub(super) fn hold_window(self: &Arc<Self>, bytes: usize) -> Option<HeldMemory> {
        self.take(bytes, SHARE_FOR_WINDOWS)
            .then(|| self.held(bytes))
    }

    /// Holds `bytes` that are in memory already. If they are more than the client's share, the connection has a debt, and
    /// nothing more should be read for it until the debt is repaid.
    #[must_use]
    pub fn owe(self: &Arc<Self>, bytes: usize) -> HeldMemory {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let missing = self.missing(used);
        if missing > 0 {
            self.draw(missing, SHARE, &UNITS);
        }
        self.held(bytes)
    }

    /// Bytes that the connection holds beyond the share of its client.
    #[must_use]
    pub fn debt(&self) -> usize {
        self.missing(self.used.load(Ordering::Relaxed))
    }

    /// `true` if the connection holds more than a few requests.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.used.load(Ordering::Relaxed) > BUSY
    }

    /// Waits until the connection has no debt. That never takes forever: what it holds is written, or reset because the client
    /// does not read it.
    pub(super) async fn repaid(self: Arc<Self>) {
        while !self.repay() {
            self.given_back.wait().await;
        }
        // The next one that waits may go on too, unless this one makes a new debt.
        self.given_back.tell();
    }

    /// Waits until the connection gives some back, or until another connection of its client may have done so.
    pub async fn given_back(self: Arc<Self>) {
        self.given_back.wait().await;
    }

    fn repay(&self) -> bool {
        let debt = self.debt();
        debt == 0 || self.draw(debt, SHARE, &UNITS)
    }

    fn held(self: &Arc<Self>, bytes: usize) -> HeldMemory {
        HeldMemory {
            memory: Arc::clone(self),
            bytes,
        }
    }

    fn missing(&self, used: usize) -> usize {
        used.saturating_sub(OWN + self.drawn.load(Ordering::Relaxed))
    }

    fn take(&self, bytes: usize, parts: usize) -> bool {
        self.take_in(bytes, parts, &UNITS)
    }

    fn take_in(&self, bytes: usize, parts: usize, units: &[usize]) -> bool {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let missing = self.missing(used);
        if missing == 0 || self.draw(missing, parts, units) {
            return true;
        }
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// Draws at least `missing` bytes, in the first of `units` that the client has left.
    fn draw(&self, missing: usize, parts: usize, units: &[usize]) -> bool {
        let drawn = units
            .iter()
            .map(|unit| missing.next_multiple_of(*unit))
            .find(|more| self.client.take(*more, parts));
        if let Some(more) = drawn {
            self.drawn.fetch_add(more, Ordering::Relaxed);
        }
        drawn.is_some()
    }

    fn give_back(&self, bytes: usize) {
        let used = self.used.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        let drawn = self.drawn.load(Ordering::Relaxed);
        if drawn > 0 {
            self.return_spare(used, drawn);
        }
        self.given_back.tell();
    }

    /// Gives back to the client's share what is not needed, once it is all or much. A connection stays on one worker, so that
    /// nobody else draws or returns meanwhile.
    fn return_spare(&self, used: usize, drawn: usize) {
        let spare = if used <= OWN / 2 {
            drawn
        } else {
            drawn.saturating_sub(used + BLOCK)
        };
        if spare == drawn || spare >= BLOCK {
            self.drawn.fetch_sub(spare, Ordering::Relaxed);
            self.client.give_back(spare);
        }
    }
}

impl Drop for ConnectionMemory {
    fn drop(&mut self) {
        self.client.give_back(*self.drawn.get_mut());
    }
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub struct HeldMemory {
    memory: Arc<ConnectionMemory>,
    bytes: usize,
}

impl HeldMemory {
    /// Holds what `other` holds too.
    pub fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Parts with `bytes`, or with all if there are not so many.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.memory.held(bytes)
    }

    /// Holds `bytes` more. Returns `false` if the client has its share.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.grow_within(bytes, SHARE)
    }

    /// Holds `bytes` more for a request that begins to run. Returns `false` if the client has its share of those.
    #[must_use]
    pub fn grow_to_run(&mut self, bytes: usize) -> bool {
        self.grow_within(bytes, SHARE_FOR_RUNNING)
    }

    fn grow_within(&mut self, bytes: usize, parts: usize) -> bool {
        let is_taken = self.memory.take(bytes, parts);
        if is_taken {
            self.bytes += bytes;
        }
        is_taken
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.memory.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::StreamMemory;
    use super::super::release_signal::RECHECK;
    use super::*;

    fn memories(limit: usize) -> [Arc<ConnectionMemory>; 2] {
        let client = ClientMemory::new(&StreamMemory::new(limit));
        [(); 2].map(|()| ConnectionMemory::new(Arc::clone(&client)))
    }

    #[test]
    fn what_a_connection_has_of_its_own_is_not_counted_for_its_client() {
        let [one, other] = memories(0);
        let held = one.hold(OWN);
        assert!(held.is_some() && one.hold(1).is_none());
        assert!(other.hold(OWN).is_some());
        drop(held);
        assert!(one.hold(OWN).is_some());
    }

    #[test]
    fn connections_of_one_client_share_its_part() {
        let [one, other] = memories(4 * 10 * BLOCK);
        let held = one.hold(OWN + 10 * BLOCK);
        assert!(held.is_some());
        assert!(other.hold(OWN + 1).is_none());
        drop(held);
        assert!(other.hold(OWN + 10 * BLOCK).is_some());
        let held = one.hold(OWN + BLOCK);
        assert!(held.is_some());
        // A connection that ends gives all back.
        drop((held, one));
        assert!(other.hold(OWN + 10 * BLOCK).is_some());
    }

    #[test]
    fn the_last_part_of_a_share_is_drawn_in_small_units_and_a_peak_is_given_back() {
        let [one, other] = memories(4 * (10 * BLOCK + SMALL_BLOCK));
        let mut held = one.hold(OWN + 10 * BLOCK).unwrap();
        assert!(other.hold(OWN + SMALL_BLOCK).is_some());
        // One long request is left of many.
        let long = held.split(OWN);
        drop(held);
        assert!(other.hold(OWN + 8 * BLOCK).is_some());
        drop(long);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_run_leave_memory_for_those_that_wait() {
        let [one, other] = memories(24 * BLOCK);
        let running = one.hold_to_run(OWN + 4 * BLOCK);
        assert!(running.is_some() && one.hold_to_run(1).is_none());
        let mut waiting = one.hold_to_wait(SMALL_BLOCK).unwrap();
        assert!(!waiting.grow_to_run(1));
        assert!(other.hold_to_run(OWN + SMALL_BLOCK).is_none());
        let begin = Instant::now();
        let ending = async {
            tokio::task::yield_now().await;
            drop(running);
        };
        tokio::join!(Arc::clone(&one).given_back(), ending);
        assert_eq!(begin.elapsed(), Duration::ZERO);
        assert!(waiting.grow_to_run(1));
        other.given_back().await;
        assert_eq!(begin.elapsed(), RECHECK);
    }

    #[test]
    fn windows_get_half_of_a_share() {
        let [one, other] = memories(7 * BLOCK);
        assert!(one.hold_window(OWN + 2 * BLOCK).is_none());
        let window = one.hold_window(OWN + BLOCK);
        assert!(window.is_some());
        assert!(other.hold_window(OWN + BLOCK).is_none());
        assert!(other.hold(OWN + SMALL_BLOCK).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_is_repaid_by_what_the_connection_or_its_neighbour_gives_back() {
        let [one, other] = memories(4 * BLOCK);
        let mut repayment = super::super::Repayment::default();
        let begin = Instant::now();
        let mut repaid = async |memory: &Arc<ConnectionMemory>| {
            std::future::poll_fn(|cx| repayment.poll(memory, cx)).await;
            begin.elapsed()
        };
        let neighbours = other.hold(OWN + BLOCK).unwrap();
        let own = one.owe(OWN);
        assert_eq!(one.debt(), 0);
        assert_eq!(repaid(&one).await, Duration::ZERO);

        let more = one.owe(10);
        assert_eq!(one.debt(), 10);
        assert!(one.hold(1).is_none(), "no new request");
        let dropping = async {
            tokio::task::yield_now().await;
            drop(more);
        };
        let (waited, ()) = tokio::join!(repaid(&one), dropping);
        assert_eq!(waited, Duration::ZERO);

        let more = one.owe(10);
        let dropping = async {
            tokio::task::yield_now().await;
            drop(neighbours);
        };
        let (waited, ()) = tokio::join!(repaid(&one), dropping);
        assert_eq!(waited, RECHECK);
        drop((own, more));
    }

    #[test]
    fn parts_of_what_is_held_are_given_back_one_by_one() {
        let [one, _] = memories(0);
        let mut held = one.hold(OWN - 10).unwrap();
        assert!(held.grow(10) && !held.grow(1));
        let part = held.split(100);
        drop(held.split(50));
        assert!(one.hold(51).is_none());
        held.merge(part);
        drop(held);
        assert!(one.hold(OWN).is_some());
    }
}
