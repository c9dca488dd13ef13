//! Problems with `balance`, `health` and the settings of upstreams.

use crate::upstream::{BalanceMethodError, StatusRangeError};

/// Minimum length of a cookie key in bytes. A shorter key could be guessed.
pub(crate) const SHORTEST_KEY: usize = 16;

/// A problem with `balance`, `health` or a setting of an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BalancingProblem {
    #[error("`{0}` is not a valid balancing method; {1}")]
    Method(String, #[source] BalanceMethodError),
    #[error("`{0}` is not a valid status; {1}")]
    Status(String, #[source] StatusRangeError),
    #[error("`{0}` is not a valid path; use a form like `/healthz`")]
    HealthPath(String),
    #[error("`{0}` is not a valid host; use a form like `app.example.org` or `localhost:3000`")]
    HealthHost(String),
    #[error(
        "`{0}` is not a valid host; use a name like `app.internal`, `upstream` for the host of each backend's address, or `client`"
    )]
    BackendHost(String),
    #[error("`{0}` is not a valid percentage; use a form like `20%`, from `0%` to `100%`")]
    Percent(String),
    #[error("`{0}` is not a valid cookie name; use letters, digits and dashes, as in `backend`")]
    CookieName(String),
    #[error("the key has {0} bytes and could be guessed; use at least {SHORTEST_KEY}")]
    ShortKey(usize),
    #[error("no address would get requests; set a `weight` above 0 for at least one")]
    NoWeight,
    #[error("`{0}` has no effect without an `upstream`; add one, or remove `{0}`")]
    NoUpstream(&'static str),
}
