//! The log of requests that fail at a backend: one line per backend, reason and ten seconds, however many requests there are.

use std::net::SocketAddr;
use std::time::Duration;

use dashmap::DashMap;
use http::StatusCode;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::error::Error;
use super::reason::Reason;
use crate::upstream::Address;

const EVERY: Duration = Duration::from_secs(10);
/// Backends and reasons that are remembered. Past it nothing is logged that is new.
const REMEMBERED: usize = 1024;

/// The last line about each kind of failure, and the failures since then.
#[derive(Debug, Default)]
pub(in crate::proxy) struct FailureLog {
    said: DashMap<(Option<Address>, Reason), LastLine>,
}

#[derive(Debug)]
struct LastLine {
    at: Instant,
    unsaid: u64,
}

/// The failures that one line stands for.
#[derive(Debug, PartialEq, Eq)]
struct LogLine {
    /// Failures since the line before, with the one that is logged.
    requests: u64,
    /// Seconds since that line; 0 for the first one.
    seconds: u64,
}

impl FailureLog {
    /// Records a request that its backend has failed.
    pub(in crate::proxy) fn note(&self, error: &Error, status: StatusCode, client: SocketAddr) {
        let due = self.count(error.backend().cloned(), error.reason());
        let status = status.as_u16();
        let error = error as &dyn std::error::Error;
        match due {
            Some(LogLine { requests, seconds }) => {
                warn!(client.addr = %client, status, error, requests, seconds, "request failed at its backend");
            }
            None => debug!(client.addr = %client, status, error, "request failed at its backend"),
        }
    }

    /// Counts a failure. Returns the line to log, if one is due.
    fn count(&self, backend: Option<Address>, reason: Reason) -> Option<LogLine> {
        let key = (backend, reason);
        let now = Instant::now();
        if let Some(mut said) = self.said.get_mut(&key) {
            said.unsaid += 1;
            let passed = now.duration_since(said.at);
            if passed < EVERY {
                return None;
            }
            said.at = now;
            return Some(LogLine {
                requests: std::mem::take(&mut said.unsaid),
                seconds: passed.as_secs(),
            });
        }
        // This looks at all entries, so it is done for new ones only.
        if self.said.len() >= REMEMBERED {
            self.said
                .retain(|_, said| now.duration_since(said.at) < EVERY);
            if self.said.len() >= REMEMBERED {
                return None;
            }
        }
        let first = LastLine { at: now, unsaid: 0 };
        let before = self.said.insert(key, first);
        before.is_none().then_some(LogLine {
            requests: 1,
            seconds: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(port: usize) -> Option<Address> {
        Address::parse(&format!("10.0.0.1:{port}")).ok()
    }

    fn told(requests: u64, seconds: u64) -> Option<LogLine> {
        Some(LogLine { requests, seconds })
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_one_line_in_ten_seconds_that_counts_what_it_stands_for() {
        let log = FailureLog::default();
        let fail = |port| log.count(backend(port), Reason::BackendUnreachable);
        assert_eq!((fail(1), fail(2)), (told(1, 0), told(1, 0)));
        for _ in 0..100 {
            assert_eq!(fail(1), None);
        }
        let other = log.count(backend(1), Reason::BackendTimeout);
        assert_eq!(other, told(1, 0), "another reason is news");
        tokio::time::advance(EVERY).await;
        assert_eq!(
            (fail(1), fail(1), fail(2)),
            (told(101, 10), None, told(1, 10))
        );
        tokio::time::advance(Duration::from_hours(24)).await;
        assert_eq!(fail(1), told(2, 86_400), "one of them is a day old");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_keeps_its_count_however_much_is_remembered() {
        let log = FailureLog::default();
        let fail = |port| log.count(backend(port), Reason::BackendBroken);
        for port in 1..=REMEMBERED {
            fail(port);
        }
        assert_eq!(fail(1), None);
        tokio::time::advance(EVERY).await;
        assert_eq!(fail(1), told(2, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let log = FailureLog::default();
        let said =
            (1..5000).filter(|port| log.count(backend(*port), Reason::BackendBroken).is_some());
        assert_eq!(said.count(), REMEMBERED);
        tokio::time::advance(EVERY).await;
        assert_eq!(log.count(backend(5000), Reason::BackendBroken), told(1, 0));
    }
}
