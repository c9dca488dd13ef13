//! Backends to which a request may go, with the share of the requests that each gets.

use std::net::IpAddr;

use tokio::time::Instant;

use super::round_robin::RoundRobin;
use crate::upstream::backend::Backend;

/// Backends from which one worker picks one for a request.
pub(in crate::upstream) struct Candidates<'a> {
    pub(in crate::upstream) backends: &'a [Backend],
    pub(in crate::upstream) worker: usize,
    /// Address of the client.
    pub(in crate::upstream) client: IpAddr,
    pub(in crate::upstream) round_robin: &'a RoundRobin,
    /// Backends that have already failed this request.
    pub(in crate::upstream) tried: &'a [usize],
    /// `true` if all backends have the same weight, and it is not 0.
    pub(in crate::upstream) is_even: bool,
    /// `true` if ejected backends are allowed, because there are no others.
    pub(in crate::upstream) is_last_resort: bool,
    /// `true` if full backends are skipped.
    pub(in crate::upstream) needs_room: bool,
}

impl Candidates<'_> {
    /// `true` if the backend is in good health and has no limit, so that its share need not be computed.
    pub(super) fn is_unrestricted(&self, index: usize) -> bool {
        let backend = &self.backends[index];
        backend.health_state().is_good() && backend.has_no_limit()
    }

    /// Share of the requests that the backend gets; 0 for none.
    fn share(&self, index: usize, now: Instant) -> u64 {
        u64::from(self.backends[index].weight()) * u64::from(self.part(index, now))
    }

    /// `true` if the backend may get the request of a client whose cookie names it. Its weight does not matter.
    pub(in crate::upstream) fn may_keep(&self, index: usize, now: Instant) -> bool {
        self.part(index, now) > 0
    }

    /// Share by health alone, in thousandths of the weight; 0 if the backend was tried already or is full.
    fn part(&self, index: usize, now: Instant) -> u32 {
        let backend = &self.backends[index];
        if self.tried.contains(&index) || (self.needs_room && !backend.has_room()) {
            return 0;
        }
        let health_state = backend.health_state();
        if self.is_last_resort {
            health_state.last_resort_share()
        } else {
            health_state.share(now)
        }
    }

    /// Indices of all backends that may get the request, with their shares.
    pub(in crate::upstream) fn shares(&self) -> impl Iterator<Item = (usize, u64)> {
        let now = Instant::now();
        (0..self.backends.len())
            .map(move |index| (index, self.share(index, now)))
            .filter(|(_, share)| *share > 0)
    }
}
