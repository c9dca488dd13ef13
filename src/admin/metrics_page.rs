//! The metrics for Prometheus.

use std::time::{SystemTime, UNIX_EPOCH};

use super::stats::Stats;
use crate::prometheus::{Metric, Page};

/// Maximum number of certificates whose end is among the metrics.
const EXPORTED_NAMES: usize = 1000;

/// Returns the metrics for Prometheus. Of certificates, the [`EXPORTED_NAMES`] with the earliest end are among them.
pub(super) fn metrics_page(stats: &Stats) -> Page {
    let mut page = Page::default();
    page.gauge(
        Metric::new(
            "proxy_start_time_seconds",
            "Start of the proxy in seconds since 1970",
        ),
        seconds(stats.started_at),
    );
    page.gauge(
        Metric::new("proxy_sites", "Sites of the configuration"),
        number(stats.current_router.snapshot().count()),
    );
    page.gauge(
        Metric::new("proxy_connections", "Open connections of clients"),
        number(stats.connections()),
    );
    let certificates = stats.manager.stats();
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
    page.gauge(
        Metric::new(
            "proxy_expired_certificates",
            "Certificates in memory that have expired",
        ),
        number(certificates.expired),
    );
    let refusals = stats.refusals.counts();
    page.counts(
        Metric::new(
            "proxy_refusals",
            "Refused requests and connections since the start",
        ),
        "reason",
        refusals.map(|(reason, count)| (reason.word().to_owned(), count)),
    );
    let ends = stats.manager.next_ends(EXPORTED_NAMES).into_iter();
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

fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| number(since.as_secs()))
}
