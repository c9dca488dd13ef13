//! The page of all metrics.

use std::sync::Arc;

use tokio::task::{JoinError, spawn_blocking};

use super::backend_metrics::add_backends;
use super::certificate_metrics::CertificateMetrics;
use super::connection_metrics::add_connections;
use super::metric_value::{number, seconds};
use super::request_metrics::add_requests;
use crate::admin::stats::Stats;
use crate::prometheus::{Metric, Page};
use crate::traces::SpanOutcome;

/// Returns the page of this moment. Takes a while if there are many certificates.
pub(in crate::admin) async fn metrics_page(stats: Arc<Stats>) -> Result<Page, JoinError> {
    let certificates = CertificateMetrics::collect(&stats.manager).await;
    // Off this runtime, which must answer challenges on port 80 meanwhile.
    spawn_blocking(move || page(&stats, certificates)).await
}

fn page(stats: &Stats, certificates: CertificateMetrics) -> Page {
    let mut page = Page::default();
    add_process(stats, &mut page);
    let router = stats.current_router.snapshot();
    add_requests(router.sites(), &mut page);
    add_connections(stats, &mut page);
    add_backends(&router, &mut page);
    certificates.add(stats, &mut page);
    page
}

fn add_process(stats: &Stats, page: &mut Page) {
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    page.gauges(
        Metric::new("proxy_build_info", "Version of the proxy"),
        [(version, 1)],
    );
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
    let reloads = [("ok", true), ("failed", false)].map(|(result, is_ok)| {
        let labels = vec![("result", result.to_owned())];
        (labels, stats.reloads.with_result(is_ok))
    });
    page.counts(
        Metric::new(
            "proxy_reloads",
            "Reloads of the configuration since the start",
        ),
        reloads,
    );
    let spans = SpanOutcome::ALL.map(|outcome| {
        let labels = vec![("result", outcome.word().to_owned())];
        (labels, stats.spans.of(outcome))
    });
    page.counts(
        Metric::new("proxy_trace_spans", "Spans by what became of them"),
        spans,
    );
    let refusals = stats.refusals.counts();
    page.counts(
        Metric::new(
            "proxy_refusals",
            "Refused requests and connections since the start",
        ),
        refusals.map(|(reason, count)| (vec![("reason", reason.word().to_owned())], count)),
    );
}
