//! Metrics in the format of Prometheus, on a page that is filled for each request. Knows no room.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The media type of a page: OpenMetrics, which Prometheus asks for first.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = [(&'static str, String); 1];

/// Name and description of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a> {
    name: &'a str,
    help: &'a str,
}

impl<'a> Metric<'a> {
    /// Names a metric.
    #[must_use]
    pub fn new(name: &'a str, help: &'a str) -> Self {
        Self { name, help }
    }
}

/// The metrics of one moment.
#[derive(Debug, Default)]
pub struct Page(Registry);

impl Page {
    /// Adds a gauge.
    pub fn gauge(&mut self, metric: Metric<'_>, value: i64) {
        let gauge = Gauge::<i64, AtomicI64>::default();
        gauge.set(value);
        self.0.register(metric.name, metric.help, gauge);
    }

    /// Adds a gauge for each value of a label.
    pub fn gauges(
        &mut self,
        metric: Metric<'_>,
        label: &'static str,
        values: impl IntoIterator<Item = (String, i64)>,
    ) {
        let family = Family::<Labels, Gauge>::default();
        for (value, number) in values {
            family.get_or_create(&[(label, value)]).set(number);
        }
        self.0.register(metric.name, metric.help, family);
    }

    /// Adds a counter for each value of a label. `_total` is appended to its name.
    pub fn counts(
        &mut self,
        metric: Metric<'_>,
        label: &'static str,
        values: impl IntoIterator<Item = (String, u64)>,
    ) {
        let family = Family::<Labels, Counter>::default();
        for (value, number) in values {
            family.get_or_create(&[(label, value)]).inc_by(number);
        }
        self.0.register(metric.name, metric.help, family);
    }

    /// Returns the page as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string never fails.
        let _ = text::encode(&mut text, &self.0);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_there_as_open_metrics() {
        let mut page = Page::default();
        page.gauge(Metric::new("open", "What is open"), 7);
        let counts = [("a\"b".to_owned(), 3)];
        page.counts(
            Metric::new("refusals", "What was refused"),
            "reason",
            counts,
        );
        let ends = [("*.a.example".to_owned(), -1)];
        page.gauges(Metric::new("end_seconds", "When it ends"), "name", ends);
        let expected = "\
# HELP open What is open.
# TYPE open gauge
open 7
# HELP refusals What was refused.
# TYPE refusals counter
refusals_total{reason=\"a\\\"b\"} 3
# HELP end_seconds When it ends.
# TYPE end_seconds gauge
end_seconds{name=\"*.a.example\"} -1
# EOF
";
        assert_eq!(page.text(), expected);
    }
}
