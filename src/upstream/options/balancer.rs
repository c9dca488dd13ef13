//! The choice among balancing algorithms. How they work is the matter of `balance`.

use std::fmt;
use std::str::FromStr;

/// Algorithm by which the backends of one upstream share its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balancer {
    /// Of two backends picked at random, the one with fewer requests in flight. This spreads nearly as evenly as a look at all
    /// of them, and sends no burst to the least loaded one.
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

/// Error of a text that names no balancer.
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
    /// `true` if a request belongs to one backend, and waits for it instead of going to another.
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
    fn names_go_both_ways() {
        for (balancer, _) in NAMES {
            assert_eq!(balancer.to_string().parse(), Ok(balancer));
        }
        assert_eq!("random".parse::<Balancer>(), Err(BalancerError));
    }
}
