//! What can be wrong with `balance`, `health` and the settings of upstreams.

use crate::upstream::{BalancerError, StatusRangeError};

/// A shorter key could be guessed.
pub(crate) const SHORTEST_KEY: usize = 16;

/// What can be wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BalancingProblem {
    #[error("`{0}` is no way to balance; {1}")]
    Balancer(String, #[source] BalancerError),
    #[error("`{0}` is no status; {1}")]
    Status(String, #[source] StatusRangeError),
    #[error("`{0}` is no path to check; write it as in `/healthz`")]
    HealthPath(String),
    #[error("`{0}` is no host; write it as in `app.example.org` or `localhost:3000`")]
    HealthHost(String),
    #[error("`{0}` is no part of the requests; write a percentage from `0%` to `100%`")]
    Percent(String),
    #[error("`{0}` is no name of a cookie; write letters, digits and dashes, as in `backend`")]
    CookieName(String),
    #[error("the key has {0} bytes and could be guessed; use at least {SHORTEST_KEY}")]
    ShortKey(usize),
    #[error("no address would get any request; give at least one a `weight` above 0")]
    NoWeight,
    #[error("`{0}` stands next to the `upstream` that it is about; add one or remove `{0}`")]
    NoUpstream(&'static str),
}
