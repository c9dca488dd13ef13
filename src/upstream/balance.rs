//! Which backend takes a request.

use super::backend::Backend;

/// How the backends of one upstream share its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balancer {
    /// Of two backends taken at random, the one with fewer requests in flight: nearly as even as looking at all of them,
    /// and without the herd that runs to the least loaded one.
    #[default]
    RandomTwo,
}

impl Balancer {
    /// The index of the backend to try first. `None` only when there is none. Each runtime weighs the requests of its own:
    /// to know those of all others costs more than the evener spread gains.
    #[must_use]
    pub fn pick(self, backends: &[Backend], worker: usize) -> Option<usize> {
        match (self, backends.len()) {
            (_, 0) => None,
            (_, 1) => Some(0),
            (Self::RandomTwo, count) => {
                let (one, other) = two_of(count);
                let load = |index: usize| backends[index].lane(worker).in_flight();
                match load(other) < load(one) {
                    true => Some(other),
                    false => Some(one),
                }
            }
        }
    }
}

/// Two different indices below `count`, which is at least 2.
fn two_of(count: usize) -> (usize, usize) {
    let one = fastrand::usize(..count);
    let other = fastrand::usize(..count - 1);
    (one, if other >= one { other + 1 } else { other })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tasks::Tasks;
    use crate::upstream::Address;
    use crate::upstream::backend::InFlight;
    use crate::upstream::pool::Pool;

    fn backends(count: u16) -> Vec<Backend> {
        (1..=count)
            .map(|port| {
                let address = Address::parse(&format!("127.0.0.1:{port}")).unwrap();
                let pool = Pool::new(Duration::from_secs(4), Tasks::new());
                Backend::new(address, [pool])
            })
            .collect()
    }

    #[test]
    fn there_is_nothing_to_choose_among_one_or_none() {
        assert_eq!(Balancer::RandomTwo.pick(&backends(0), 0), None);
        assert_eq!(Balancer::RandomTwo.pick(&backends(1), 0), Some(0));
    }

    #[test]
    fn of_two_backends_the_one_with_fewer_requests_is_taken() {
        let backends = backends(2);
        let busy = InFlight::enter(backends[0].lane(0));
        for _ in 0..50 {
            assert_eq!(Balancer::RandomTwo.pick(&backends, 0), Some(1));
        }
        drop(busy);
        let _busy = InFlight::enter(backends[1].lane(0));
        for _ in 0..50 {
            assert_eq!(Balancer::RandomTwo.pick(&backends, 0), Some(0));
        }
    }

    #[test]
    fn the_two_are_never_the_same_and_every_backend_gets_its_turn() {
        let mut seen = [false; 5];
        for _ in 0..500 {
            let (one, other) = two_of(5);
            assert_ne!(one, other);
            seen[one] = true;
            seen[other] = true;
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn the_busiest_of_many_is_never_taken() {
        let backends = backends(5);
        let _busy = InFlight::enter(backends[3].lane(0));
        for _ in 0..200 {
            assert_ne!(Balancer::RandomTwo.pick(&backends, 0), Some(3));
        }
    }
}
