//! Names of the balancing algorithms, which `balance` implements.

use std::fmt;
use std::str::FromStr;

/// Algorithm that distributes the requests of one upstream among its backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BalanceMethod {
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

const NAMES: [(BalanceMethod, &str); 5] = [
    (BalanceMethod::RandomTwo, "random-two"),
    (BalanceMethod::RoundRobin, "round-robin"),
    (BalanceMethod::LeastConn, "least-conn"),
    (BalanceMethod::IpHash, "ip-hash"),
    (BalanceMethod::Cookie, "cookie"),
];

/// Error for a text that is not the name of a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use `random-two`, `round-robin`, `least-conn`, `ip-hash` or `cookie`")]
pub struct BalanceMethodError;

impl FromStr for BalanceMethod {
    type Err = BalanceMethodError;

    fn from_str(text: &str) -> Result<Self, BalanceMethodError> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found
            .map(|(balancer, _)| *balancer)
            .ok_or(BalanceMethodError)
    }
}

impl fmt::Display for BalanceMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(balancer, _)| balancer == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl BalanceMethod {
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
        assert_eq!("random".parse::<BalanceMethod>(), Err(BalanceMethodError));
    }
}
