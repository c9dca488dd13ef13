//! What a running proxy can tell of itself as a whole.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer::{CertificateCounts, RefusalCount, Status};
use crate::certs::CertManager;
use crate::metrics::Page;
use crate::proxy::{CurrentRouter, RefusalCounters};

/// For how many names it is told when their certificates end.
const NAMES: usize = 1000;

/// Where to look when somebody asks how a proxy is. Nothing is noted here: all of it is there for other ends.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// When the proxy started, by the clock that nobody sets and by the one on the wall.
    pub began: (Instant, SystemTime),
    /// The places of connections that are free.
    pub places: Arc<Semaphore>,
    /// How many there are in all.
    pub capacity: usize,
    /// The sites.
    pub current_router: Arc<CurrentRouter>,
    /// What was refused.
    pub refusals: RefusalCounters,
    /// The certificates.
    pub manager: CertManager,
}

impl Vitals {
    /// How the proxy is. Looks at every name that the configuration spells out, which takes its time where they are many.
    #[must_use]
    pub fn status(&self) -> Status {
        let certificates = self.manager.stats();
        let refusals = self.refusals.by_reason().into_iter();
        let refusals = refusals.map(|(reason, count)| RefusalCount {
            reason: reason.word().to_owned(),
            count,
        });
        Status {
            uptime_seconds: self.began.0.elapsed().as_secs(),
            sites: self.current_router.snapshot().count(),
            connections: self.connections(),
            certificates: CertificateCounts {
                in_memory: certificates.in_memory,
                names: certificates.names,
                names_without: certificates.without,
            },
            refusals: refusals.collect(),
        }
    }

    /// The same as numbers for Prometheus, and when certificates end: those of at most [`NAMES`] names, whose end is next.
    pub(super) fn page(&self) -> Page {
        let mut page = Page::default();
        page.gauge(
            (
                "proxy_start_time_seconds",
                "Start of the proxy in seconds since 1970",
            ),
            seconds(self.began.1),
        );
        page.gauge(
            ("proxy_sites", "Sites of the configuration"),
            number(self.current_router.snapshot().count()),
        );
        page.gauge(
            ("proxy_connections", "Clients that are connected"),
            number(self.connections()),
        );
        let certificates = self.manager.stats();
        page.gauge(
            ("proxy_certificates", "Certificates in memory"),
            number(certificates.in_memory),
        );
        page.gauge(
            (
                "proxy_names_without_certificate",
                "Names of the configuration that are to have a certificate and have none in memory",
            ),
            number(certificates.without),
        );
        let refusals = self.refusals.counts();
        page.counts(
            (
                "proxy_refusals",
                "Requests and connections that were refused since the start",
            ),
            "reason",
            refusals.map(|(reason, count)| (reason.word().to_owned(), count)),
        );
        let ends = self.manager.next_ends(NAMES).into_iter();
        page.gauges(
            (
                "proxy_certificate_not_after_timestamp_seconds",
                "End of a certificate in seconds since 1970",
            ),
            "name",
            ends.map(|(name, end)| (name.to_string(), seconds(end))),
        );
        page
    }

    /// How many clients are connected.
    pub(super) fn connections(&self) -> usize {
        self.capacity
            .saturating_sub(self.places.available_permits())
    }
}

fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| number(since.as_secs()))
}
