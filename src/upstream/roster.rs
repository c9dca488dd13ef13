//! The backends of an upstream at one moment, and which of them a request goes to.

use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;

use super::address::Address;
use super::backend::Backend;
use super::balance::{Balancer, Choice, Share, Sticky, Turns};
use super::error::Error;
use super::succession::{Former, succeed};
use super::terms::Terms;
use super::trip::{Stop, Trip};

/// Backends that serve the same requests.
#[derive(Debug)]
pub(super) struct Roster {
    backends: Vec<Backend>,
    /// Whether all have the same weight, and not none.
    is_even: bool,
    balancer: Balancer,
    sticky: Option<Box<Sticky>>,
    /// Those of each runtime.
    turns: Box<[Turns]>,
}

/// One to be.
#[derive(Debug)]
pub(super) struct Member {
    /// Of what the configuration says about its share.
    pub(super) number: usize,
    pub(super) address: Address,
    /// What that share is multiplied by.
    pub(super) weight: u32,
}

impl Roster {
    /// Backends at these addresses. What the formers know of them is kept. Where they are checked, the checks begin.
    pub(super) fn new(members: Vec<Member>, formers: &[Former], terms: &Arc<Terms>) -> Self {
        let balancing = &terms.options.balancing;
        let weight = |member: &Member| {
            u64::from(balancing.share(member.number).weight) * u64::from(member.weight)
        };
        let weights = fitted(members.iter().map(weight).collect());
        let backends: Vec<_> = members
            .into_iter()
            .zip(weights)
            .map(|(member, weight)| {
                let share = Share {
                    weight,
                    ..balancing.share(member.number)
                };
                let backend = succeed(formers, member.address, terms);
                backend.sharing(share, balancing.max_connections, &terms.means.tasks)
            })
            .collect();
        let sticky = (balancing.balancer == Balancer::Cookie).then(|| {
            let addresses = backends.iter().map(|backend| backend.address().to_string());
            let keys = (balancing.cookie_key.as_ref(), &terms.means.cookie_key[..]);
            Box::new(Sticky::new(&balancing.cookie_name, keys, addresses))
        });
        let turns = |_| Turns::new(backends.len());
        Self {
            is_even: backends
                .iter()
                .all(|backend| backend.weight() == backends[0].weight().max(1)),
            balancer: balancing.balancer,
            sticky,
            turns: (0..terms.means.workers.max(1)).map(turns).collect(),
            backends,
        }
    }

    /// In the order of their addresses.
    pub(super) fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// The backend that a request's cookie names.
    pub(super) fn wanted(&self, headers: &HeaderMap) -> Option<usize> {
        self.sticky.as_ref()?.wanted(headers)
    }

    /// Keeps the client of a response to this backend, where that is wished and not so already.
    pub(super) fn keep(&self, backend: usize, wanted: Option<usize>, headers: &mut HeaderMap) {
        if let Some(sticky) = &self.sticky
            && wanted != Some(backend)
        {
            sticky.keep(backend, headers);
        }
    }

    /// The backend for a request, or `None` where it has to wait for one.
    ///
    /// Where all are out because of failures, the failures may be over: any is better than none. Where the active checks
    /// say that all are down, none is tried.
    pub(super) fn pick(&self, trip: &Trip<'_>) -> Result<Option<Stop>, Error> {
        match self.backends.len() {
            0 => return Err(Error::NoBackend),
            1 if trip.tried.is_empty() && self.is_even => {
                return self.pick_only(trip.caller.worker);
            }
            _ => {}
        }
        for is_desperate in [false, true] {
            let mut choice = self.choice(trip, is_desperate);
            while let Some(backend) = self.choose(&choice, trip.wanted) {
                let condition = self.backends[backend].condition();
                if condition.is_plain() || condition.enter(Instant::now(), is_desperate) {
                    return Ok(self.enter(backend, trip.caller.worker));
                }
            }
            choice.needs_room = false;
            if choice.shares().next().is_some() {
                return Ok(None);
            }
        }
        Err(Error::NoHealthyBackend)
    }

    fn pick_only(&self, worker: usize) -> Result<Option<Stop>, Error> {
        match self.backends[0].is_down() {
            true => Err(Error::NoHealthyBackend),
            false => Ok(self.enter(0, worker)),
        }
    }

    /// The backends that the request may have, full or not: one, where it belongs to one.
    pub(super) fn candidates(&self, trip: &Trip<'_>) -> Vec<usize> {
        let mut candidates = Vec::new();
        for is_desperate in [false, true] {
            let mut choice = self.choice(trip, is_desperate);
            choice.needs_room = false;
            match self.balancer.is_sticky() {
                true => candidates.extend(self.choose(&choice, trip.wanted)),
                false => candidates.extend(choice.shares().map(|(backend, _)| backend)),
            }
            if !candidates.is_empty() {
                break;
            }
        }
        candidates
    }

    fn choice<'a>(&'a self, trip: &'a Trip<'_>, is_desperate: bool) -> Choice<'a> {
        let worker = trip.caller.worker;
        Choice {
            backends: &self.backends,
            worker,
            client: trip.caller.client,
            turns: &self.turns[worker % self.turns.len()],
            tried: &trip.tried,
            is_even: self.is_even,
            is_desperate,
            needs_room: !self.balancer.is_sticky(),
        }
    }

    fn choose(&self, choice: &Choice<'_>, wanted: Option<usize>) -> Option<usize> {
        match wanted.filter(|backend| choice.may_keep(*backend, Instant::now())) {
            Some(backend) => Some(backend),
            None => self.balancer.pick(choice),
        }
    }

    /// Counts a request at this backend, unless it serves as many as it may.
    pub(super) fn enter(&self, backend: usize, worker: usize) -> Option<Stop> {
        let in_flight = self.backends[backend].enter(worker)?;
        Some(Stop { backend, in_flight })
    }

    /// Whether a request has a choice. A backend without others is used whatever it does, unless its check fails.
    pub(super) fn has_others(&self) -> bool {
        self.backends.len() > 1
    }

    /// Takes note that a backend has failed a request.
    pub(super) fn fail(&self, backend: usize) {
        if self.has_others() {
            self.backends[backend].fail();
        }
    }

    /// Takes note that a backend has served a request.
    pub(super) fn succeed(&self, backend: usize) {
        self.backends[backend].succeed();
    }
}

/// The same weights in the smallest numbers, and in such as there is room for. None but what is nothing becomes nothing.
fn fitted(weights: Vec<u64>) -> Vec<u16> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    let most = weights.iter().max().map_or(0, |most| most / common);
    let fit = |weight: u64| {
        let weight = weight / common;
        let fit = match u16::try_from(most) {
            Ok(_) => weight,
            Err(_) => (weight * u64::from(u16::MAX) / most).max(weight.min(1)),
        };
        u16::try_from(fit).unwrap_or(u16::MAX)
    };
    weights.into_iter().map(fit).collect()
}

/// The greatest common divisor.
pub(super) fn gcd<T>(one: T, other: T) -> T
where
    T: Copy + Default + PartialEq + std::ops::Rem<Output = T>,
{
    match other == T::default() {
        true => one,
        false => gcd(other, one % other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_ratio_in_small_numbers() {
        for (weights, expected) in [
            (&[][..], &[][..]),
            (&[0, 0], &[0, 0]),
            (&[5], &[1]),
            (&[120, 60, 0, 180], &[2, 1, 0, 3]),
            (&[65535, 1], &[65535, 1]),
            (&[65536 * 65535, 65536, 32768], &[65535, 1, 1]),
        ] {
            assert_eq!(fitted(weights.to_vec()), expected, "{weights:?}");
        }
        let most = u64::from(u16::MAX) * u64::from(u16::MAX) * 5040;
        assert_eq!(fitted(vec![most, most / 3]), [3, 1]);
    }
}
