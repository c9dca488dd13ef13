//! Picks a backend for one request by the algorithm of the upstream.

use super::candidates::Candidates;
use super::least_conn::least_conn;
use super::random_two::random_two;
use crate::upstream::backend::{Bidder, client_seed, highest_bidder};
use crate::upstream::options::BalanceMethod;

/// Returns the index of the picked backend; `None` only if there is no candidate.
///
/// Each worker considers only its own requests in flight: counting those of all workers costs more than the more even
/// spread is worth. [`BalanceMethod::LeastConn`] does count them all, because tunnels last long.
pub(in crate::upstream) fn pick(
    method: BalanceMethod,
    candidates: &Candidates<'_>,
) -> Option<usize> {
    match method {
        BalanceMethod::RandomTwo | BalanceMethod::Cookie => random_two(candidates),
        BalanceMethod::RoundRobin => candidates.round_robin.next(candidates.shares()),
        BalanceMethod::LeastConn => {
            let load = |index: usize| candidates.backends[index].in_flight();
            least_conn(candidates.shares(), load)
        }
        BalanceMethod::IpHash => {
            let bidder = |(index, share): (usize, u64)| Bidder {
                index,
                seed: candidates.backends[index].seed(),
                share,
            };
            let client = client_seed(candidates.client);
            highest_bidder(client, candidates.shares().map(bidder))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::per_worker::{CachePadded, PerWorker};
    use crate::tasks::Tasks;
    use crate::upstream::address::Address;
    use crate::upstream::backend::{Backend, HealthState, InFlight};
    use crate::upstream::balance::round_robin::RoundRobin;
    use crate::upstream::connection::Pool;
    use crate::upstream::options::{BalanceOptions, Share};

    const ALL: [BalanceMethod; 5] = [
        BalanceMethod::RandomTwo,
        BalanceMethod::RoundRobin,
        BalanceMethod::LeastConn,
        BalanceMethod::IpHash,
        BalanceMethod::Cookie,
    ];

    struct Group {
        backends: Vec<Backend>,
        round_robin: RoundRobin,
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
                let health_state = Arc::new(CachePadded::new(HealthState::new(
                    &BalanceOptions::default(),
                )));
                Backend::new(address, PerWorker::from_iter([pool]), health_state).with_share(
                    share,
                    None,
                    &Tasks::new(),
                )
            };
            Self {
                backends: weights.iter().enumerate().map(backend).collect(),
                round_robin: RoundRobin::new(weights.len()),
                weights: weights.to_vec(),
            }
        }

        fn candidates<'a>(&'a self, tried: &'a [usize], client: u32) -> Candidates<'a> {
            Candidates {
                backends: &self.backends,
                worker: 0,
                client: std::net::IpAddr::V4(client.into()),
                round_robin: &self.round_robin,
                tried,
                is_even: self
                    .weights
                    .iter()
                    .all(|weight| *weight == self.weights[0].max(1)),
                is_last_resort: false,
                needs_room: true,
            }
        }

        fn busy(&self, index: usize, count: usize) -> Vec<InFlight> {
            let enter = |_| self.backends[index].enter(0, None).unwrap();
            (0..count).map(enter).collect()
        }

        /// Number of times that each backend is picked for requests from 10,000 addresses.
        fn spread(&self, method: BalanceMethod) -> Vec<f64> {
            let mut given = vec![0.0; self.backends.len()];
            for client in 0..10_000 {
                given[pick(method, &self.candidates(&[], client)).unwrap()] += 1.0;
            }
            given
        }
    }

    #[test]
    fn a_single_backend_is_always_picked() {
        for method in ALL {
            assert_eq!(pick(method, &Group::new(&[]).candidates(&[], 0)), None);
            assert_eq!(pick(method, &Group::new(&[1]).candidates(&[], 0)), Some(0));
            assert_eq!(pick(method, &Group::new(&[1]).candidates(&[0], 0)), None);
        }
    }

    #[test]
    fn ten_thousand_requests_spread_within_five_percent() {
        fastrand::seed(7);
        for weights in [&[1, 1][..], &[1, 1, 1, 1], &[3, 1], &[1, 2, 5]] {
            let all = f64::from(weights.iter().sum::<u16>());
            for method in ALL {
                let given = Group::new(weights).spread(method);
                for (given, weight) in given.iter().zip(weights) {
                    let part = 10_000.0 * f64::from(*weight) / all;
                    let is_even = (given - part).abs() <= part * 0.05;
                    assert!(is_even, "{method} {weights:?}: {given} for {part}");
                }
            }
        }
    }

    #[test]
    fn least_conn_respects_weights_even_with_few_requests() {
        let group = Group::new(&[1, 4]);
        let pick = || pick(BalanceMethod::LeastConn, &group.candidates(&[], 0));
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
    fn a_backend_without_weight_gets_only_clients_with_its_cookie() {
        let group = Group::new(&[0, 1]);
        for method in ALL {
            assert_eq!(group.spread(method), [0.0, 10_000.0], "{method}");
            assert_eq!(pick(method, &Group::new(&[0, 0]).candidates(&[], 0)), None);
        }
        let now = Instant::now();
        assert!(group.candidates(&[], 0).may_keep(0, now));
        assert!(!group.candidates(&[0], 0).may_keep(0, now));
        group.backends[0].health_state().mark_down();
        assert!(!group.candidates(&[], 0).may_keep(0, now));
    }

    #[test]
    fn the_busiest_backend_is_never_picked() {
        let group = Group::new(&[1, 1, 1, 1, 1]);
        let _busy = group.busy(3, 1);
        for method in [
            BalanceMethod::RandomTwo,
            BalanceMethod::LeastConn,
            BalanceMethod::Cookie,
        ] {
            for _ in 0..200 {
                assert_ne!(pick(method, &group.candidates(&[], 0)), Some(3), "{method}");
            }
        }
    }

    #[test]
    fn a_recovered_backend_starts_slowly() {
        fastrand::seed(7);
        let group = Group::new(&[1, 1]);
        let health_state = group.backends[0].health_state();
        health_state.mark_down();
        for method in ALL {
            assert_eq!(group.spread(method), [0.0, 10_000.0], "{method}");
        }
        health_state.mark_up(Instant::now());
        for method in ALL {
            let given = group.spread(method)[0];
            // A tenth of what the other gets, or slightly more as time passes.
            assert!((800.0..1300.0).contains(&given), "{method}: {given}");
        }
    }

    proptest! {
        /// Compares with a naive model of the allowed backends and their loads.
        #[test]
        fn the_picked_backend_is_an_allowed_one(
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
                    group.backends[index].health_state().mark_down();
                }
                if *is_tried {
                    tried.push(index);
                }
            }
            let may = |index: usize| !backends[index].2 && !backends[index].3;
            let load = |index: usize| backends[index].1 as f64 / f64::from(backends[index].0);
            let next = |index: usize| (backends[index].1 + 1) as f64 / f64::from(backends[index].0);
            let allowed: Vec<_> = (0..backends.len()).filter(|index| may(*index)).collect();
            for method in ALL {
                let picked = pick(method, &group.candidates(&tried, client));
                prop_assert_eq!(picked.is_some(), !allowed.is_empty());
                let Some(picked) = picked else { continue };
                prop_assert!(may(picked), "{}", method);
                if method == BalanceMethod::LeastConn {
                    let best = allowed.iter().copied().min_by(|one, other| next(*one).total_cmp(&next(*other))).unwrap();
                    let is_idle = |index: usize| backends[index].1 == 0;
                    let is_among_idle = is_idle(picked) && allowed.iter().any(|index| is_idle(*index) && next(*index) <= next(best));
                    prop_assert!(next(picked) <= next(best) || is_among_idle);
                }
                if method == BalanceMethod::RandomTwo && allowed.len() > 1 {
                    let is_better = allowed.iter().any(|other| load(picked) <= load(*other) && picked != *other);
                    prop_assert!(is_better, "the busiest backend is never the better of two");
                }
            }
        }
    }
}
