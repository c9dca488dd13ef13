//! Statistics of a running proxy, for the status command and for Prometheus.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::response::{CertificateCounts, RefusalCount, Status};
use crate::certs::CertManager;
use crate::metrics::{Metric, Page};
use crate::proxy::{CurrentRouter, RefusalCounters};

/// Most names whose certificates' ends are exported.
const EXPORTED_NAMES: usize = 1000;

/// The sources of statistics. Nothing is counted here: all numbers come from values that serve another purpose too.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Start of the proxy, to measure its uptime.
    pub started: Instant,
    /// Start of the proxy by the system's clock.
    pub started_at: SystemTime,
    /// The free slots of connections.
    pub permits: Arc<Semaphore>,
    /// Number of all slots.
    pub max_connections: usize,
    /// The sites.
    pub current_router: Arc<CurrentRouter>,
    /// Counters of refusals.
    pub refusals: RefusalCounters,
    /// The certificates.
    pub manager: CertManager,
}

impl Stats {
    /// Returns the status. Looks up each configured name, so it takes a while if there are many.
    #[must_use]
    pub fn status(&self) -> Status {
        let certificates = self.manager.stats();
        let refusals = self.refusals.by_reason().into_iter();
        let refusals = refusals.map(|(reason, count)| RefusalCount {
            reason: reason.word().to_owned(),
            count,
        });
        Status {
            uptime_seconds: self.started.elapsed().as_secs(),
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

    /// Returns the metrics for Prometheus. Of certificates, the [`EXPORTED_NAMES`] with the earliest end are among them.
    pub(super) fn page(&self) -> Page {
        let mut page = Page::default();
        page.gauge(
            Metric::new(
                "proxy_start_time_seconds",
                "Start of the proxy in seconds since 1970",
            ),
            seconds(self.started_at),
        );
        page.gauge(
            Metric::new("proxy_sites", "Sites of the configuration"),
            number(self.current_router.snapshot().count()),
        );
        page.gauge(
            Metric::new("proxy_connections", "Open connections of clients"),
            number(self.connections()),
        );
        let certificates = self.manager.stats();
        page.gauge(
            Metric::new("proxy_certificates", "Certificates in memory"),
            number(certificates.in_memory),
        );
        page.gauge(
            Metric::new(
                "proxy_names_without_certificate",
                "Configured names that get a certificate from an issuer and have none in memory",
            ),
            number(certificates.without),
        );
        let refusals = self.refusals.counts();
        page.counts(
            Metric::new(
                "proxy_refusals",
                "Refused requests and connections since the start",
            ),
            "reason",
            refusals.map(|(reason, count)| (reason.word().to_owned(), count)),
        );
        let ends = self.manager.next_ends(EXPORTED_NAMES).into_iter();
        page.gauges(
            Metric::new(
                "proxy_certificate_not_after_timestamp_seconds",
                "End of a certificate in seconds since 1970",
            ),
            "name",
            ends.map(|(name, end)| (name.to_string(), seconds(end))),
        );
        page
    }

    /// Returns the number of connected clients.
    pub(super) fn connections(&self) -> usize {
        self.max_connections
            .saturating_sub(self.permits.available_permits())
    }
}

fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| number(since.as_secs()))
}
