//! The parts of the status about requests: sites and backends.

use std::time::Duration;

use super::status::{BackendLine, CheckLine, SiteTraffic, UpstreamTraffic};
use crate::admin::named_upstream::NamedUpstream;
use crate::admin::response::time;
use crate::figures::{LAST_MINUTE, Outcome, RequestTotals, WINDOW};
use crate::proxy::Site;
use crate::upstream::{BackendState, BackendStatus, LastCheck};

impl SiteTraffic {
    /// Returns the requests of a site.
    pub(super) fn of(site: &Site) -> Self {
        Self::with_totals(site, &site.figures.totals())
    }

    /// Returns the requests of a site, given its totals.
    pub(in crate::admin) fn with_totals(site: &Site, totals: &RequestTotals) -> Self {
        let recent = site.figures.recent(WINDOW, totals).counted;
        let quantile = |share| recent.times.quantile(share).map(seconds);
        Self {
            site: site.pattern.to_string(),
            requests: totals.requests(),
            in_flight: totals.in_flight(),
            per_second: rate(site.figures.recent(LAST_MINUTE, totals).per_second()),
            error_share: recent.share(&[Outcome::ServerError]),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            received_bytes: totals.received,
            sent_bytes: totals.sent,
        }
    }
}

impl UpstreamTraffic {
    /// Returns the backends of an upstream.
    pub(in crate::admin) fn of(named: NamedUpstream) -> Self {
        let status = named.upstream.status();
        Self {
            name: named.name,
            queued: status.queued,
            backends: status.backends.into_iter().map(BackendLine::of).collect(),
        }
    }
}

impl BackendLine {
    fn of(status: BackendStatus) -> Self {
        let recent = status.recent.counted;
        let quantile = |share| recent.times.quantile(share).map(seconds);
        Self {
            state: status.state.word().to_owned(),
            retry_in: match status.state {
                BackendState::Ejected(left) => Some(left.as_secs()),
                _ => None,
            },
            address: status.address,
            reason: status.reason,
            in_flight: status.in_flight,
            per_second: rate(status.last_minute.per_second()),
            error_share: recent.share(&[Outcome::ServerError, Outcome::None]),
            p50: quantile(0.5),
            p95: quantile(0.95),
            failures: status.totals.failures(),
            retries: status.totals.retries,
            ejections: status.ejections,
            last_check: status.last_check.map(CheckLine::of),
        }
    }
}

impl CheckLine {
    fn of(check: LastCheck) -> Self {
        Self {
            at: time(check.at),
            failure: check.failure,
        }
    }
}

/// Rounds a rate to two digits after the point.
fn rate(per_second: f64) -> f64 {
    (per_second * 100.0).round() / 100.0
}

/// Returns a time in seconds, rounded to microseconds.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}
