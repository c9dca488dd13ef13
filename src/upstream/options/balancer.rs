//! Names of the balancing algorithms, which `balance` implements.

use std::fmt;
use std::str::FromStr;

/// Algorithm that distributes the requests of one upstream among its backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balancer {
    /// Of two random backends, the one with fewer requests in flight. The spread is nearly as even as if all backends
    /// were compared, and the least loaded backend does not get a burst of requests.
    #[default]
    RandomTwo,
    /// Each backend in turn.
    RoundRobin,
    /// The backend with the fewest requests and tunnels in flight.
    LeastConn,
    /// One fixed backend for each client address, while that backend works.
    IpHash,
    /// One fixed backend for each browser that accepts a cookie, while that backend works.
    Cookie,
}

const NAMES: [(Balancer, &str); 5] = [
    (Balancer::RandomTwo, "random-two"),
    (Balancer::RoundRobin, "round-robin"),
    (Balancer::LeastConn, "least-conn"),
    (Balancer::IpHash, "ip-hash"),
    (Balancer::Cookie, "cookie"),
];

/// Error for a text that is not the name of a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use `random-two`, `round-robin`, `least-conn`, `ip-hash` or `cookie`")]
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
    /// `true` if each request belongs to one backend, and waits for it when it is full.
    pub(in crate::upstream) fn is_sticky(self) -> bool {
        match self {
            Self::IpHash | Self::Cookie => true,
            Self::RandomTwo | Self::RoundRobin | Self::LeastConn => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_balancer_is_parsed_from_its_name() {
        for (balancer, _) in NAMES {
            assert_eq!(balancer.to_string().parse(), Ok(balancer));
        }
        assert_eq!("random".parse::<Balancer>(), Err(BalancerError));
    }
}
