//! The backends that a request may have now, and how much of all requests each may have.

use std::net::IpAddr;

use tokio::time::Instant;

use super::turns::Turns;
use crate::upstream::backend::Backend;

/// One choice among the backends of an upstream, by the runtime that makes it.
pub(in crate::upstream) struct Choice<'a> {
    pub(in crate::upstream) backends: &'a [Backend],
    pub(in crate::upstream) worker: usize,
    /// Whose request it is.
    pub(in crate::upstream) client: IpAddr,
    pub(in crate::upstream) turns: &'a Turns,
    /// The backends that have failed this request.
    pub(in crate::upstream) tried: &'a [usize],
    /// Whether all backends weigh the same, and not nothing.
    pub(in crate::upstream) is_even: bool,
    /// Whether those that failed lately are better than none.
    pub(in crate::upstream) is_desperate: bool,
    /// Whether a backend that serves as much as it may is passed over.
    pub(in crate::upstream) needs_room: bool,
}

impl Choice<'_> {
    /// Whether the backend may have as much as any other, which is all that is asked of it most of the time.
    pub(super) fn is_plain(&self, index: usize) -> bool {
        let backend = &self.backends[index];
        backend.condition().is_plain() && backend.has_no_limit()
    }

    /// How large a part of the requests the backend may have; 0 for none.
    pub(in crate::upstream) fn share(&self, index: usize, now: Instant) -> u64 {
        u64::from(self.backends[index].weight()) * u64::from(self.part(index, now))
    }

    /// Whether the backend may have the request of a client that is kept to it, which it may without any weight too.
    pub(in crate::upstream) fn may_keep(&self, index: usize, now: Instant) -> bool {
        self.part(index, now) > 0
    }

    /// The part of its requests that the backend may have now.
    fn part(&self, index: usize, now: Instant) -> u32 {
        let backend = &self.backends[index];
        if self.tried.contains(&index) || (self.needs_room && !backend.has_room()) {
            return 0;
        }
        let condition = backend.condition();
        match self.is_desperate {
            true => condition.desperate_share(),
            false => condition.share(now),
        }
    }

    /// All backends that may have the request, with their shares.
    pub(in crate::upstream) fn shares(&self) -> impl Iterator<Item = (usize, u64)> {
        let now = Instant::now();
        (0..self.backends.len())
            .map(move |index| (index, self.share(index, now)))
            .filter(|(_, share)| *share > 0)
    }
}
