//! Metrics of requests by site.

use super::metric_value::number;
use crate::figures::{HistogramTotals, Outcome, RequestTotals};
use crate::prometheus::{HistogramRow, Labels, Metric, Page};
use crate::proxy::Site;

/// Adds the figures of the sites that have had a request. Their label is the name of the site in the configuration, never
/// the host of a request.
pub(super) fn add_requests(sites: &[Site], page: &mut Page) {
    let rows = sites.iter().filter_map(|site| {
        let totals = site.figures.totals();
        let is_used = totals.requests() > 0 || totals.in_flight() > 0;
        is_used.then(|| (site.pattern.to_string(), totals))
    });
    let rows: Vec<_> = rows.collect();
    let requests = rows.iter().flat_map(|(site, totals)| {
        Outcome::ALL.map(|outcome| {
            let status = ("status", outcome.word().to_owned());
            let labels = vec![("site", site.clone()), status];
            (labels, totals.ended[outcome as usize])
        })
    });
    page.counts(
        Metric::new(
            "proxy_requests",
            "Requests by class of their status; `none` if the client left before a response",
        ),
        requests,
    );
    let gauge = |value: fn(&RequestTotals) -> u64| {
        let rows = rows.iter();
        rows.map(move |(site, totals)| (labels(site), value(totals)))
    };
    page.gauges(
        Metric::new("proxy_requests_in_flight", "Running requests and tunnels"),
        gauge(RequestTotals::in_flight).map(|(labels, count)| (labels, number(count))),
    );
    page.counts(
        Metric::new(
            "proxy_received_bytes",
            "Bytes of bodies and tunnels that came from clients",
        ),
        gauge(|totals| totals.received),
    );
    page.counts(
        Metric::new(
            "proxy_sent_bytes",
            "Bytes of bodies and tunnels that went to clients",
        ),
        gauge(|totals| totals.sent),
    );
    let times = |times: fn(&RequestTotals) -> &HistogramTotals| {
        let rows = rows.iter();
        rows.map(move |(site, totals)| (labels(site), histogram(times(totals))))
    };
    page.histograms(
        Metric::new(
            "proxy_request_duration_seconds",
            "Time from the first byte of a request to the end of its response",
        ),
        times(|totals| &totals.durations),
    );
    page.histograms(
        Metric::new(
            "proxy_response_head_seconds",
            "Time from a request to a backend to the head of its response",
        ),
        times(|totals| &totals.head_times),
    );
}

fn labels(site: &str) -> Labels {
    vec![("site", site.to_owned())]
}

/// Returns the numbers of a histogram for the page.
pub(super) fn histogram(totals: &HistogramTotals) -> HistogramRow {
    HistogramRow {
        sum: totals.seconds(),
        count: totals.count(),
        buckets: totals.exported().collect(),
    }
}
