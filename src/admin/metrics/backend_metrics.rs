//! Metrics of backends by upstream.

use super::metric_value::number;
use super::request_metrics::histogram;
use crate::admin::named_upstream::upstreams;
use crate::figures::Outcome;
use crate::prometheus::{Labels, Metric, Page};
use crate::proxy::Router;
use crate::upstream::BackendStatus;

/// Words of all states of a backend.
const STATES: [&str; 4] = ["up", "slow-start", "ejected", "down"];

/// A backend with its labels.
struct Row {
    labels: Labels,
    status: BackendStatus,
}

impl Row {
    /// Returns its labels with one more.
    fn with(&self, label: &'static str, value: &str) -> Labels {
        let mut labels = self.labels.clone();
        labels.push((label, value.to_owned()));
        labels
    }
}

/// Adds the figures of all backends. The name of an upstream is the first route that uses it.
pub(super) fn add_backends(router: &Router, page: &mut Page) {
    let (mut rows, mut queues) = (Vec::new(), Vec::new());
    for named in upstreams(router) {
        let status = named.upstream.status();
        let upstream = ("upstream", named.name);
        queues.push((vec![upstream.clone()], number(status.queued)));
        rows.extend(status.backends.into_iter().map(|status| Row {
            labels: vec![upstream.clone(), ("backend", status.address.clone())],
            status,
        }));
    }
    // A name in DNS may give one address twice.
    rows.sort_by(|one, other| one.labels.cmp(&other.labels));
    rows.dedup_by(|later, first| later.labels == first.labels);
    page.gauges(
        Metric::new("proxy_upstream_queue", "Requests that wait for a backend"),
        queues,
    );
    add_states(&rows, page);
    add_attempts(&rows, page);
}

fn add_states(rows: &[Row], page: &mut Page) {
    let states = rows.iter().flat_map(|row| {
        STATES.map(|state| {
            let is_it = row.status.state.word() == state;
            (row.with("state", state), i64::from(is_it))
        })
    });
    page.gauges(
        Metric::new(
            "proxy_backend_state",
            "1 for the state of a backend, 0 for all others; it gets requests if it is `up` or in `slow-start`",
        ),
        states,
    );
    page.gauges(
        Metric::new(
            "proxy_backend_requests_in_flight",
            "Running requests and tunnels at a backend",
        ),
        rows.iter()
            .map(|row| (row.labels.clone(), number(row.status.in_flight))),
    );
}

fn add_attempts(rows: &[Row], page: &mut Page) {
    let responses = rows.iter().flat_map(|row| {
        let responses = Outcome::ALL.into_iter().filter(|it| *it != Outcome::None);
        responses.map(|outcome| {
            let count = row.status.totals.ended[outcome as usize];
            (row.with("status", outcome.word()), count)
        })
    });
    page.counts(
        Metric::new(
            "proxy_backend_responses",
            "Responses of a backend by class of their status",
        ),
        responses,
    );
    let counts = |count: fn(&BackendStatus) -> u64| {
        let rows = rows.iter();
        rows.map(move |row| (row.labels.clone(), count(&row.status)))
    };
    page.counts(
        Metric::new(
            "proxy_backend_failures",
            "Attempts at a backend that got no response",
        ),
        counts(|status| status.totals.failures()),
    );
    page.counts(
        Metric::new(
            "proxy_backend_retries",
            "Requests that were sent again after an attempt at this backend",
        ),
        counts(|status| status.totals.retries),
    );
    page.counts(
        Metric::new(
            "proxy_backend_ejections",
            "Times that a backend was ejected because too many attempts had failed",
        ),
        counts(|status| status.ejections),
    );
    let times = rows.iter().map(|row| {
        let times = histogram(&row.status.totals.head_times);
        (row.labels.clone(), times)
    });
    page.histograms(
        Metric::new(
            "proxy_backend_response_head_seconds",
            "Time from a request to the backend to the head of its response",
        ),
        times,
    );
}
