//! Settings of load balancing, failure detection and retries, with the defaults.

use std::time::Duration;

use super::balance_method::BalanceMethod;
use super::cookie_key::CookieKey;
use super::health_options::HealthOptions;
use super::status_range::StatusRange;

/// Settings of how an upstream uses its backends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BalanceOptions {
    /// Algorithm that picks a backend.
    pub method: BalanceMethod,
    /// Settings of single backends, in the order of their addresses. Backends beyond the end of the list have the
    /// defaults.
    pub shares: Vec<Share>,
    /// Active health check, if there is one.
    pub health: Option<HealthOptions>,
    /// Maximum number of requests and tunnels in flight at each backend, unless its [`Share`] sets another.
    pub max_connections: Option<u16>,
    /// Maximum number of requests that wait while all backends are full.
    pub queue: u16,
    /// Maximum time that a request waits in the queue.
    pub queue_timeout: Duration,
    /// Number of failures in a row that eject a backend; 0 turns ejection off.
    pub max_fails: u16,
    /// Length of the first ejection. Each further one is twice as long, up to a minute.
    pub eject_time: Duration,
    /// Status codes of responses that also count as failures.
    pub eject_status: Option<StatusRange>,
    /// Time in which a recovered backend rises to its full share; zero turns slow start off.
    pub slow_start: Duration,
    /// Maximum number of retries of one request at other backends.
    pub retries: u16,
    /// Maximum number of retries per hundred requests, in addition to ten retries per second.
    pub retry_percent: u16,
    /// Name of the cookie that keeps a client at its backend.
    pub cookie_name: String,
    /// Key that signs the cookie. Without one, [`UpstreamContext::cookie_key`](super::UpstreamContext::cookie_key)
    /// signs it.
    pub cookie_key: Option<CookieKey>,
}

impl Default for BalanceOptions {
    fn default() -> Self {
        Self {
            method: BalanceMethod::default(),
            shares: Vec::new(),
            health: None,
            max_connections: None,
            queue: 100,
            queue_timeout: Duration::from_secs(10),
            max_fails: 3,
            eject_time: Duration::from_secs(5),
            eject_status: None,
            slow_start: Duration::from_secs(10),
            retries: 2,
            retry_percent: 20,
            cookie_name: "__Host-backend".to_owned(),
            cookie_key: None,
        }
    }
}

impl BalanceOptions {
    /// Settings of the backend at the address with this index.
    #[must_use]
    pub fn share(&self, index: usize) -> Share {
        self.shares.get(index).copied().unwrap_or_default()
    }
}

/// Settings of one backend of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// Share of the requests, relative to the other backends. With 0, the backend only gets the requests of clients
    /// whose cookie names it.
    pub weight: u16,
    /// Maximum number of requests and tunnels in flight.
    pub max_connections: Option<u16>,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            weight: 1,
            max_connections: None,
        }
    }
}
