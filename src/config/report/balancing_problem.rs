//! What can be wrong with `balance`, `health` and the settings of upstreams.

use crate::upstream::{BalanceMethodError, StatusRangeError};

/// A shorter key could be guessed.
pub(crate) const SHORTEST_KEY: usize = 16;

/// What can be wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BalancingProblem {
    #[error("`{0}` is not a valid way to balance; {1}")]
    Balancer(String, #[source] BalanceMethodError),
    #[error("`{0}` is not a valid status; {1}")]
    Status(String, #[source] StatusRangeError),
    #[error("`{0}` is not a valid path; use a form like `/healthz`")]
    HealthPath(String),
    #[error("`{0}` is not a valid host; use a form like `app.example.org` or `localhost:3000`")]
    HealthHost(String),
    #[error("`{0}` is not a valid percentage; use a form like `20%`, from `0%` to `100%`")]
    Percent(String),
    #[error("`{0}` is not a valid cookie name; use letters, digits and dashes, as in `backend`")]
    CookieName(String),
    #[error("the key has {0} bytes and could be guessed; use at least {SHORTEST_KEY}")]
    ShortKey(usize),
    #[error("no address would get requests; give at least one a `weight` above 0")]
    NoWeight,
    #[error("`{0}` belongs next to an `upstream`; add one, or remove `{0}`")]
    NoUpstream(&'static str),
}
