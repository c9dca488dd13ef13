//! Says that requests fail at a backend: one line for each backend, reason and some seconds, however many requests there are.

use std::time::Duration;

use dashmap::DashMap;
use http::StatusCode;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::conn_info::ConnInfo;
use super::error::Error;
use super::reason::Reason;
use crate::upstream::Address;

const EVERY: Duration = Duration::from_secs(10);
/// Backends and reasons that are remembered. Past it nothing is logged that is new.
const REMEMBERED: usize = 1024;

/// What was said of failures, and how many more there were. Only failures come here.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    said: DashMap<(Option<Address>, Reason), Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

impl FailureLog {
    /// Takes note of a request that its backend has failed.
    pub(super) fn note(&self, error: &Error, status: StatusCode, conn: &ConnInfo) {
        let key = (error.backend().cloned(), error.reason());
        let (client, status) = (conn.client, status.as_u16());
        let due = self.count(key);
        let error = error as &dyn std::error::Error;
        match due {
            Some(requests) => {
                warn!(client.addr = %client, status, error, requests, "request failed at its backend");
            }
            None => debug!(client.addr = %client, status, error, "request failed at its backend"),
        }
    }

    /// Counts a failure. Returns how many are to be told of, itself among them, if it is time for that.
    fn count(&self, key: (Option<Address>, Reason)) -> Option<u64> {
        let now = Instant::now();
        if self.said.len() >= REMEMBERED {
            self.said
                .retain(|_, said| now.duration_since(said.at) < EVERY);
        }
        if let Some(mut said) = self.said.get_mut(&key) {
            said.unsaid += 1;
            if now.duration_since(said.at) < EVERY {
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.unsaid));
        }
        if self.said.len() >= REMEMBERED {
            return None;
        }
        let first = Said { at: now, unsaid: 0 };
        let before = self.said.insert(key, first);
        before.is_none().then_some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(port: usize) -> Option<Address> {
        Address::parse(&format!("10.0.0.1:{port}")).ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_one_line_in_ten_seconds_that_counts_what_it_stands_for() {
        let log = FailureLog::default();
        let fail = |port| log.count((backend(port), Reason::BackendUnreachable));
        assert_eq!((fail(1), fail(2)), (Some(1), Some(1)));
        for _ in 0..100 {
            assert_eq!(fail(1), None);
        }
        let other = log.count((backend(1), Reason::BackendTimeout));
        assert_eq!(other, Some(1), "another reason is news");
        tokio::time::advance(EVERY).await;
        assert_eq!((fail(1), fail(1), fail(2)), (Some(101), None, Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let log = FailureLog::default();
        let said =
            (1..5000).filter(|port| log.count((backend(*port), Reason::BackendBroken)).is_some());
        assert_eq!(said.count(), REMEMBERED);
        tokio::time::advance(EVERY).await;
        assert_eq!(log.count((backend(5000), Reason::BackendBroken)), Some(1));
    }
}
