//! Settings of load balancing, failure detection and retries, with the defaults.

use std::time::Duration;

use super::balancer::Balancer;
use super::cookie_key::CookieKey;
use super::health_options::HealthOptions;
use super::status_range::StatusRange;

/// Settings that say how an upstream uses its backends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Balancing {
    /// Algorithm that picks a backend.
    pub balancer: Balancer,
    /// Settings of single backends, in the order of their addresses. Those beyond its end have the defaults.
    pub shares: Vec<Share>,
    /// The active check.
    pub health: Option<HealthOptions>,
    /// Number of requests and tunnels that one backend serves at once, unless its [`Share`] sets another.
    pub max_connections: Option<u16>,
    /// Number of requests that may wait while all backends are full.
    pub queue: u16,
    /// Time that each of them may wait.
    pub queue_timeout: Duration,
    /// Number of failures in a row that eject a backend; 0 for never.
    pub max_fails: u16,
    /// Length of the first ejection. Each further one is twice as long, up to a minute.
    pub eject_time: Duration,
    /// Responses that count as failures too.
    pub eject_status: Option<StatusRange>,
    /// Time for which a recovered backend gets less than its share; zero for none.
    pub slow_start: Duration,
    /// Number of times that one request may be sent again to another backend.
    pub retries: u16,
    /// Number of requests in a hundred that may be sent again, in addition to ten per second.
    pub retry_percent: u16,
    /// Name of the cookie that keeps a client at its backend.
    pub cookie_name: String,
    /// Key that signs it; by default a random one of this process.
    pub cookie_key: Option<CookieKey>,
}

impl Default for Balancing {
    fn default() -> Self {
        Self {
            balancer: Balancer::default(),
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

impl Balancing {
    /// Settings of the backend at `index`.
    #[must_use]
    pub fn share(&self, index: usize) -> Share {
        self.shares.get(index).copied().unwrap_or_default()
    }
}

/// Settings of one backend of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// Number of requests that it gets for each one that a backend of weight 1 gets; with 0 only those of clients that its
    /// cookie keeps at it.
    pub weight: u16,
    /// Number of requests and tunnels that it serves at once.
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
