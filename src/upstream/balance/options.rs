//! What an upstream's backends share, and what is done about those that fail, with the defaults.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

use super::balancer::Balancer;

/// How an upstream uses its backends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Balancing {
    /// Whose turn it is.
    pub balancer: Balancer,
    /// What sets single backends apart, in the order of their addresses. Those beyond its end are ordinary.
    pub shares: Vec<Share>,
    /// The active check.
    pub health: Option<HealthOptions>,
    /// How many requests and tunnels one backend serves at once, where it has no number of its own.
    pub max_connections: Option<u16>,
    /// How many requests wait while all backends are full.
    pub queue: u16,
    /// How long each of them waits.
    pub queue_timeout: Duration,
    /// How many failures in a row put a backend out; 0 for never.
    pub max_fails: u16,
    /// How long for. Each further time doubles it, up to a minute.
    pub eject_time: Duration,
    /// Responses that count as failures too.
    pub eject_status: Option<StatusRange>,
    /// How long a backend that has come back gets less than its share; zero for not at all.
    pub slow_start: Duration,
    /// How many times one request is sent again to another backend.
    pub retries: u16,
    /// How many of a hundred requests may be sent again, beside ten in a second.
    pub retry_percent: u16,
    /// The name of the cookie that keeps a client to its backend.
    pub cookie_name: String,
    /// What signs it; without, a key that this process has drawn.
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
    /// What sets the backend at `index` apart.
    #[must_use]
    pub fn share(&self, index: usize) -> Share {
        self.shares.get(index).copied().unwrap_or_default()
    }
}

/// What sets one backend apart from the others of its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// How many requests it gets for each one that a backend of weight 1 gets; with 0 only those of clients that are kept
    /// to it.
    pub weight: u16,
    /// How many requests and tunnels it serves at once.
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

/// A request that is sent now and then to learn whether a backend works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthOptions {
    /// What is asked for, with a leading slash.
    pub path: String,
    /// Which status is a good sign.
    pub expect: StatusRange,
    /// From the end of one check to the next.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// How many good checks in a row bring a backend back.
    pub rise: u16,
    /// How many bad checks in a row take a working backend out.
    pub fall: u16,
    /// The Host that is asked for; without, the backend's address.
    pub host: Option<String>,
}

impl HealthOptions {
    /// A check of `path` with the defaults.
    #[must_use]
    pub fn new(path: String) -> Self {
        Self {
            path,
            expect: StatusRange {
                first: 200,
                last: 399,
            },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            host: None,
        }
    }
}

/// Status codes from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// That a text names no status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a status, a range or a class, as in `204`, `200-399` or `2xx`")]
pub struct StatusRangeError;

impl StatusRange {
    /// Whether `status` is one of them.
    #[must_use]
    pub fn has(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }
}

impl FromStr for StatusRange {
    type Err = StatusRangeError;

    fn from_str(text: &str) -> Result<Self, StatusRangeError> {
        let status = |text: &str| {
            let is_status = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            let status = is_status.then(|| text.parse().ok()).flatten();
            status.filter(|status| (100..=599).contains(status))
        };
        let ends = match (text.split_once('-'), text.strip_suffix("xx")) {
            (Some((first, last)), _) => status(first).zip(status(last)),
            (None, Some(class)) => status(&format!("{class}00")).zip(status(&format!("{class}99"))),
            (None, None) => status(text).zip(status(text)),
        };
        match ends {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(StatusRangeError),
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// The secret that signs cookies. Its `Debug` shows where it was read from and nothing else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CookieKey {
    source: Option<String>,
    secret: Vec<u8>,
}

impl CookieKey {
    /// `secret` as it was read from `source`, such as `env:COOKIE_KEY`, unless it was spelt out.
    #[must_use]
    pub fn new(source: Option<String>, secret: Vec<u8>) -> Self {
        Self { source, secret }
    }

    /// Where it was read from, unless it was spelt out.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CookieKey").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_ranges_are_read_in_every_form() {
        for (text, first, last) in [("204", 204, 204), ("200-399", 200, 399), ("5xx", 500, 599)] {
            let range: StatusRange = text.parse().unwrap();
            assert_eq!((range.first, range.last), (first, last), "{text}");
            assert_eq!(range.to_string().parse(), Ok(range));
        }
        for text in [
            "", "20", "0200", "600", "9xx", "399-200", "200-", "+20", "xx",
        ] {
            assert_eq!(text.parse::<StatusRange>(), Err(StatusRangeError), "{text}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        let key = CookieKey::new(Some("env:KEY".to_owned()), b"hidden".to_vec());
        assert_eq!(format!("{key:?}"), "CookieKey(Some(\"env:KEY\"))");
    }
}
