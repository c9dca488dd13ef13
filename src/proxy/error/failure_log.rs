//! Log of requests that fail at a backend, limited to one line per site, backend, reason and ten seconds. An outage does not
//! flood the log. Knows no pages and no counters.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use dashmap::DashMap;
use http::StatusCode;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::error::Error;
use super::reason::Reason;
use crate::name::HostPattern;
use crate::upstream::Address;

/// Maximum length in bytes of a host, a sentence and its causes, which keeps the line with its other fields below 300, also if the
/// client has an IPv6 address.
const MAX_LENGTH: usize = 140;
const INTERVAL: Duration = Duration::from_secs(10);
/// Maximum number of kinds of failures that are remembered. While it is reached, new kinds are not logged.
const CAPACITY: usize = 1024;

/// Remembers the last line about each kind of failure, and the number of failures since.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    lines: DashMap<Kind, LastLine>,
}

/// Failures that share a line. The site is its pattern and not the host, because clients choose hosts below a wildcard.
type Kind = (Option<HostPattern>, Option<Address>, Reason);

#[derive(Debug)]
struct LastLine {
    at: Instant,
    unlogged: u64,
}

/// The failures that one line stands for.
#[derive(Debug, PartialEq, Eq)]
struct LogLine {
    /// Failures since the previous line, including the one that is logged.
    requests: u64,
    /// Seconds since the previous line; 0 for the first one.
    seconds: u64,
}

/// A request that failed at its backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedRequest<'r> {
    /// Host of the request.
    pub(crate) host: &'r str,
    /// Site of the request.
    pub(crate) site: Option<&'r HostPattern>,
    pub(crate) client: SocketAddr,
    /// Status of the response.
    pub(crate) status: StatusCode,
}

impl FailureLog {
    /// Records a request that failed at its backend. Logs a warning if a line is due, else a debug message. The message begins
    /// with the host and says what failed; the reason is the word by which programs find it.
    pub(crate) fn note(&self, error: &Error, request: FailedRequest<'_>) {
        let reason = error.reason();
        let kind = (request.site.cloned(), error.backend().cloned(), reason);
        let due = self.count(kind);
        let FailedRequest {
            host,
            client,
            status,
            ..
        } = request;
        let (reason, status) = (reason.word(), status.as_u16());
        let failure = Failure { host, error };
        match due {
            Some(LogLine { requests, seconds }) => {
                warn!(client.addr = %client, status, reason, requests, seconds, "{failure}");
            }
            None => debug!(client.addr = %client, status, reason, "{failure}"),
        }
    }

    /// Counts a failure. Returns the line to log, if one is due.
    fn count(&self, kind: Kind) -> Option<LogLine> {
        let now = Instant::now();
        if let Some(mut line) = self.lines.get_mut(&kind) {
            line.unlogged += 1;
            let passed = now.duration_since(line.at);
            if passed < INTERVAL {
                return None;
            }
            line.at = now;
            return Some(LogLine {
                requests: std::mem::take(&mut line.unlogged),
                seconds: passed.as_secs(),
            });
        }
        // Visits all entries, so it is done only when a new one has no room.
        if self.lines.len() >= CAPACITY {
            self.lines
                .retain(|_, line| now.duration_since(line.at) < INTERVAL);
            if self.lines.len() >= CAPACITY {
                return None;
            }
        }
        let first = LastLine {
            at: now,
            unlogged: 0,
        };
        let previous = self.lines.insert(kind, first);
        previous.is_none().then_some(LogLine {
            requests: 1,
            seconds: 0,
        })
    }
}

/// Prints the host and what failed, with the causes that the sentence does not contain, as far as [`MAX_LENGTH`] bytes have room for
/// them. The sentence itself is never cut: its fix stands at the end.
struct Failure<'e> {
    host: &'e str,
    error: &'e Error,
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (error, says_all): (&dyn std::error::Error, _) = match self.error {
            Error::Upstream(error) => (error, error.says_all()),
            error => (error, false),
        };
        let mut sentence = format!("{}: {error}", self.host);
        let own = sentence.len();
        let mut cause = error.source().filter(|_| !says_all);
        while let Some(error) = cause {
            let words = error.to_string();
            if !sentence.contains(&words) {
                sentence = format!("{sentence}: {words}");
            }
            cause = error.source();
        }
        let end = sentence.floor_char_boundary(MAX_LENGTH.max(own));
        let ellipsis = if end < sentence.len() { "…" } else { "" };
        write!(f, "{}{ellipsis}", &sentence[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream;

    #[test]
    fn a_failure_is_said_in_words_and_stays_short() {
        let told = |source: std::io::Error| {
            let backend = Address::parse("localhost:5001").unwrap();
            let error = upstream::Error::Connect { backend, source }.into();
            let host = "www.example.org";
            Failure {
                host,
                error: &error,
            }
            .to_string()
        };
        let refused = std::io::ErrorKind::ConnectionRefused.into();
        let words = "www.example.org: backend localhost:5001 refuses connections";
        assert_eq!(told(refused), words);
        let long = told(std::io::Error::other("é".repeat(200)));
        assert!(
            long.len() <= MAX_LENGTH + "…".len() && long.ends_with("é…"),
            "{long}"
        );
    }

    fn at(port: usize, reason: Reason) -> Kind {
        let backend = Address::parse(&format!("10.0.0.1:{port}"));
        (None, backend.ok(), reason)
    }

    fn line(requests: u64, seconds: u64) -> Option<LogLine> {
        Some(LogLine { requests, seconds })
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_one_line_per_ten_seconds_with_the_number_of_failures() {
        let log = FailureLog::default();
        let fail = |port| log.count(at(port, Reason::BackendUnreachable));
        assert_eq!((fail(1), fail(2)), (line(1, 0), line(1, 0)));
        for _ in 0..100 {
            assert_eq!(fail(1), None);
        }
        let other = log.count(at(1, Reason::BackendTimeout));
        assert_eq!(other, line(1, 0), "another reason gets its own line");
        tokio::time::advance(INTERVAL).await;
        assert_eq!(
            (fail(1), fail(1), fail(2)),
            (line(101, 10), None, line(1, 10))
        );
        tokio::time::advance(Duration::from_hours(24)).await;
        assert_eq!(fail(1), line(2, 86_400), "one of them happened a day ago");
    }

    #[tokio::test(start_paused = true)]
    async fn each_site_has_its_own_line_about_the_same_fault() {
        let log = FailureLog::default();
        let fail = |site| {
            let (_, backend, reason) = at(1, Reason::NoHealthyBackend);
            log.count((HostPattern::parse(site).ok(), backend, reason))
        };
        assert_eq!(fail("a.example.org"), line(1, 0));
        assert_eq!(fail("b.example.org"), line(1, 0));
        assert_eq!((fail("a.example.org"), fail("b.example.org")), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_failure_is_still_counted_when_the_log_is_full() {
        let log = FailureLog::default();
        let fail = |port| log.count(at(port, Reason::BackendBroken));
        for port in 1..=CAPACITY {
            fail(port);
        }
        assert_eq!(fail(1), None);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(fail(1), line(2, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_remembered_failures_is_bounded() {
        let log = FailureLog::default();
        let logged = (1..5000).filter(|port| log.count(at(*port, Reason::BackendBroken)).is_some());
        assert_eq!(logged.count(), CAPACITY);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(log.count(at(5000, Reason::BackendBroken)), line(1, 0));
    }
}
