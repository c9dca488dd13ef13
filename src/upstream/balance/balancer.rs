//! Which backend takes a request.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::choice::Choice;
use super::rendezvous;

/// How the backends of one upstream share its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balancer {
    /// Of two backends taken at random, the one with fewer requests in flight: nearly as even as looking at all of them,
    /// and without the herd that runs to the least loaded one.
    #[default]
    RandomTwo,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests and tunnels in flight.
    LeastConn,
    /// Always the same for a client's address, while it works.
    IpHash,
    /// Always the same for a browser that keeps a cookie, while it works.
    Cookie,
}

const NAMES: [(Balancer, &str); 5] = [
    (Balancer::RandomTwo, "random-two"),
    (Balancer::RoundRobin, "round-robin"),
    (Balancer::LeastConn, "least-conn"),
    (Balancer::IpHash, "ip-hash"),
    (Balancer::Cookie, "cookie"),
];

/// That a text names no balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write `random-two`, `round-robin`, `least-conn`, `ip-hash` or `cookie`")]
pub struct BalancerError;

impl FromStr for Balancer {
    type Err = BalancerError;

    fn from_str(text: &str) -> Result<Self, BalancerError> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(balancer, _)| *balancer).ok_or(BalancerError)
    }
}

impl fmt::Display for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(balancer, _)| balancer == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl Balancer {
    /// Whether a request belongs to one backend, for which it waits rather than go to another.
    pub(in crate::upstream) fn is_sticky(self) -> bool {
        match self {
            Self::IpHash | Self::Cookie => true,
            Self::RandomTwo | Self::RoundRobin | Self::LeastConn => false,
        }
    }

    /// The index of the backend to try. `None` only when none may have the request.
    ///
    /// Each runtime weighs the requests of its own: to know those of all others costs more than the evener spread gains.
    /// Only the fewest connections are counted over all of them, since tunnels last.
    pub(in crate::upstream) fn pick(self, choice: &Choice<'_>) -> Option<usize> {
        match self {
            Self::RandomTwo | Self::Cookie => random_two(choice),
            Self::RoundRobin => choice.turns.next(choice.shares()),
            Self::LeastConn => least(choice.shares(), |index| choice.backends[index].in_flight()),
            Self::IpHash => {
                let bidder =
                    |(index, share): (usize, u64)| (index, choice.backends[index].seed(), share);
                rendezvous::pick(
                    rendezvous::client(choice.client),
                    choice.shares().map(bidder),
                )
            }
        }
    }
}

fn random_two(choice: &Choice<'_>) -> Option<usize> {
    let count = choice.backends.len();
    let load = |index: usize| choice.backends[index].lane(choice.worker).in_flight();
    if choice.is_even && choice.tried.is_empty() && count > 1 {
        let (one, other) = two_of(count);
        if choice.is_plain(one) && choice.is_plain(other) {
            return Some(match load(other) < load(one) {
                true => other,
                false => one,
            });
        }
    }
    let (one, share) = drawn(choice.shares())?;
    let other = drawn(choice.shares().filter(|(index, _)| *index != one));
    // Compared crosswise: a division would make small loads equal. A tie goes to the one that was drawn by share.
    let is_freer = |&(other, other_share): &(usize, u64)| {
        (load(other) as u64) * share < (load(one) as u64) * other_share
    };
    Some(other.filter(is_freer).map_or(one, |(other, _)| other))
}

/// Two different indices below `count`, which is at least 2.
fn two_of(count: usize) -> (usize, usize) {
    let one = fastrand::usize(..count);
    let other = fastrand::usize(..count - 1);
    (one, if other >= one { other + 1 } else { other })
}

/// One at random, by the shares.
fn drawn(shares: impl Iterator<Item = (usize, u64)>) -> Option<(usize, u64)> {
    let mut sum = 0;
    shares.fold(None, |drawn, (index, share)| {
        sum += share;
        match fastrand::u64(..sum) < share {
            true => Some((index, share)),
            false => drawn,
        }
    })
}

/// The one that one more request would load least for its share; of several, one by lot. Where that one is idle, all that are
/// idle draw lots: else the largest would have all requests of a quiet hour.
fn least(
    shares: impl Iterator<Item = (usize, u64)>,
    load: impl Fn(usize) -> usize,
) -> Option<usize> {
    let mut best: Option<(Candidate, u64)> = None;
    let mut idle: Option<(Candidate, u64)> = None;
    for (index, share) in shares {
        let load = load(index) as u64;
        let candidate = Candidate { index, load, share };
        if load == 0 {
            idle = Some(lot(idle, candidate));
        }
        let order = best.as_ref().map(|(best, _)| candidate.compare(best));
        match order {
            None | Some(Ordering::Less) => best = Some((candidate, share)),
            Some(Ordering::Equal) => best = Some(lot(best, candidate)),
            Some(Ordering::Greater) => {}
        }
    }
    let (best, _) = best?;
    let idle = idle.filter(|_| best.load == 0);
    Some(idle.map_or(best.index, |(idle, _)| idle.index))
}

/// One that may be the least loaded.
#[derive(Clone, Copy)]
struct Candidate {
    index: usize,
    load: u64,
    share: u64,
}

impl Candidate {
    /// Compared crosswise: a division would make small loads equal.
    fn compare(&self, other: &Self) -> Ordering {
        let (one, other) = ((self.load + 1) * other.share, (other.load + 1) * self.share);
        one.cmp(&other)
    }
}

/// Draws between the winner so far, which has the sum of all shares before it, and one more.
fn lot(winner: Option<(Candidate, u64)>, one: Candidate) -> (Candidate, u64) {
    let sum = winner.map_or(0, |(_, sum)| sum) + one.share;
    match winner.filter(|_| fastrand::u64(..sum) >= one.share) {
        Some((winner, _)) => (winner, sum),
        None => (one, sum),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::tasks::Tasks;
    use crate::upstream::Address;
    use crate::upstream::backend::{Backend, InFlight};
    use crate::upstream::balance::{Balancing, Share, Turns};
    use crate::upstream::condition::Condition;
    use crate::upstream::pool::Pool;

    const ALL: [Balancer; 5] = [
        Balancer::RandomTwo,
        Balancer::RoundRobin,
        Balancer::LeastConn,
        Balancer::IpHash,
        Balancer::Cookie,
    ];

    struct Group {
        backends: Vec<Backend>,
        turns: Turns,
        weights: Vec<u16>,
    }

    impl Group {
        fn new(weights: &[u16]) -> Self {
            let backend = |(index, weight): (usize, &u16)| {
                let address = Address::parse(&format!("127.0.0.1:{}", index + 1)).unwrap();
                let pool = Pool::new(Duration::from_secs(4), Tasks::new());
                let share = Share {
                    weight: *weight,
                    max_connections: None,
                };
                let condition = Arc::new(Condition::new(&Balancing::default()));
                Backend::new(address, [pool], condition).sharing(share, None, &Tasks::new())
            };
            Self {
                backends: weights.iter().enumerate().map(backend).collect(),
                turns: Turns::new(weights.len()),
                weights: weights.to_vec(),
            }
        }

        fn choice<'a>(&'a self, tried: &'a [usize], client: u32) -> Choice<'a> {
            Choice {
                backends: &self.backends,
                worker: 0,
                client: std::net::IpAddr::V4(client.into()),
                turns: &self.turns,
                tried,
                is_even: self
                    .weights
                    .iter()
                    .all(|weight| *weight == self.weights[0].max(1)),
                is_desperate: false,
                needs_room: true,
            }
        }

        fn busy(&self, index: usize, count: usize) -> Vec<InFlight> {
            let enter = |_| self.backends[index].enter(0).unwrap();
            (0..count).map(enter).collect()
        }

        /// How often each backend is taken by requests from 10,000 addresses.
        fn spread(&self, balancer: Balancer) -> Vec<f64> {
            let mut given = vec![0.0; self.backends.len()];
            for client in 0..10_000 {
                given[balancer.pick(&self.choice(&[], client)).unwrap()] += 1.0;
            }
            given
        }
    }

    #[test]
    fn names_go_both_ways() {
        for balancer in ALL {
            assert_eq!(balancer.to_string().parse(), Ok(balancer));
        }
        assert_eq!("random".parse::<Balancer>(), Err(BalancerError));
    }

    #[test]
    fn there_is_nothing_to_choose_among_one_or_none() {
        for balancer in ALL {
            assert_eq!(balancer.pick(&Group::new(&[]).choice(&[], 0)), None);
            assert_eq!(balancer.pick(&Group::new(&[1]).choice(&[], 0)), Some(0));
            assert_eq!(balancer.pick(&Group::new(&[1]).choice(&[0], 0)), None);
        }
    }

    #[test]
    fn ten_thousand_requests_spread_within_five_percent() {
        fastrand::seed(7);
        for weights in [&[1, 1][..], &[1, 1, 1, 1], &[3, 1], &[1, 2, 5]] {
            let all = f64::from(weights.iter().sum::<u16>());
            for balancer in ALL {
                let given = Group::new(weights).spread(balancer);
                for (given, weight) in given.iter().zip(weights) {
                    let part = 10_000.0 * f64::from(*weight) / all;
                    let is_even = (given - part).abs() <= part * 0.05;
                    assert!(is_even, "{balancer} {weights:?}: {given} for {part}");
                }
            }
        }
    }

    #[test]
    fn by_least_connections_a_few_long_requests_go_by_weight_too() {
        let group = Group::new(&[1, 4]);
        let pick = || Balancer::LeastConn.pick(&group.choice(&[], 0));
        let mut busy = group.busy(1, 1);
        for _ in 0..100 {
            assert_eq!(pick(), Some(1), "2 of 4 are less than 1 of 1");
        }
        busy.extend(group.busy(1, 3));
        for _ in 0..100 {
            assert_eq!(pick(), Some(0), "5 of 4 are more than 1 of 1");
        }
    }

    #[test]
    fn one_without_weight_gets_only_who_is_kept_to_it() {
        let group = Group::new(&[0, 1]);
        for balancer in ALL {
            assert_eq!(group.spread(balancer), [0.0, 10_000.0], "{balancer}");
            assert_eq!(balancer.pick(&Group::new(&[0, 0]).choice(&[], 0)), None);
        }
        let now = Instant::now();
        assert!(group.choice(&[], 0).may_keep(0, now));
        assert!(!group.choice(&[0], 0).may_keep(0, now));
        group.backends[0].condition().go_down();
        assert!(!group.choice(&[], 0).may_keep(0, now));
    }

    #[test]
    fn the_busiest_backend_is_never_taken() {
        let group = Group::new(&[1, 1, 1, 1, 1]);
        let _busy = group.busy(3, 1);
        for balancer in [Balancer::RandomTwo, Balancer::LeastConn, Balancer::Cookie] {
            for _ in 0..200 {
                assert_ne!(balancer.pick(&group.choice(&[], 0)), Some(3), "{balancer}");
            }
        }
    }

    #[test]
    fn one_that_comes_back_starts_slowly() {
        fastrand::seed(7);
        let group = Group::new(&[1, 1]);
        let condition = group.backends[0].condition();
        condition.go_down();
        for balancer in ALL {
            assert_eq!(group.spread(balancer), [0.0, 10_000.0], "{balancer}");
        }
        condition.come_up(Instant::now());
        for balancer in ALL {
            let given = group.spread(balancer)[0];
            // A tenth of the other's part, or a little more by the clock.
            assert!((800.0..1300.0).contains(&given), "{balancer}: {given}");
        }
    }

    proptest! {
        /// The naive model: whom a request may have, and among these who has the least to do.
        #[test]
        fn a_pick_is_one_of_those_that_may_be_picked(
            backends in prop::collection::vec((1_u16..6, 0_usize..5, any::<bool>(), any::<bool>()), 1..7),
            client in any::<u32>(),
        ) {
            let weights: Vec<_> = backends.iter().map(|backend| backend.0).collect();
            let group = Group::new(&weights);
            let mut held = Vec::new();
            let mut tried = Vec::new();
            for (index, (_, load, is_down, is_tried)) in backends.iter().enumerate() {
                held.extend(group.busy(index, *load));
                if *is_down {
                    group.backends[index].condition().go_down();
                }
                if *is_tried {
                    tried.push(index);
                }
            }
            let may = |index: usize| !backends[index].2 && !backends[index].3;
            let load = |index: usize| backends[index].1 as f64 / f64::from(backends[index].0);
            let next = |index: usize| (backends[index].1 + 1) as f64 / f64::from(backends[index].0);
            let allowed: Vec<_> = (0..backends.len()).filter(|index| may(*index)).collect();
            for balancer in ALL {
                let picked = balancer.pick(&group.choice(&tried, client));
                prop_assert_eq!(picked.is_some(), !allowed.is_empty());
                let Some(picked) = picked else { continue };
                prop_assert!(may(picked), "{}", balancer);
                if balancer == Balancer::LeastConn {
                    let best = allowed.iter().copied().min_by(|one, other| next(*one).total_cmp(&next(*other))).unwrap();
                    let is_idle = |index: usize| backends[index].1 == 0;
                    let is_one_of_the_idle = is_idle(picked) && allowed.iter().any(|index| is_idle(*index) && next(*index) <= next(best));
                    prop_assert!(next(picked) <= next(best) || is_one_of_the_idle);
                }
                if balancer == Balancer::RandomTwo && allowed.len() > 1 {
                    let is_freest = allowed.iter().any(|other| load(picked) <= load(*other) && picked != *other);
                    prop_assert!(is_freest, "the busiest of all is never the better of two");
                }
            }
        }
    }
}
