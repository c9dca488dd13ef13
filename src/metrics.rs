//! Numbers as Prometheus reads them, on a page that is filled when somebody asks for it. Knows no room.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The media type of a page: OpenMetrics, which Prometheus asks for first.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = [(&'static str, String); 1];

/// The numbers of one moment.
#[derive(Debug, Default)]
pub struct Page(Registry);

impl Page {
    /// Adds a number that goes up and down.
    pub fn gauge(&mut self, (name, help): (&str, &str), value: i64) {
        let gauge = Gauge::<i64, AtomicI64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    /// Adds such a number for each value of a label.
    pub fn gauges(
        &mut self,
        (name, help): (&str, &str),
        label: &'static str,
        values: impl IntoIterator<Item = (String, i64)>,
    ) {
        let family = Family::<Labels, Gauge>::default();
        for (value, number) in values {
            family.get_or_create(&[(label, value)]).set(number);
        }
        self.0.register(name, help, family);
    }

    /// Adds a count, which only goes up, for each value of a label. Its name gets `_total` at its end.
    pub fn counts(
        &mut self,
        (name, help): (&str, &str),
        label: &'static str,
        values: impl IntoIterator<Item = (String, u64)>,
    ) {
        let family = Family::<Labels, Counter>::default();
        for (value, number) in values {
            family.get_or_create(&[(label, value)]).inc_by(number);
        }
        self.0.register(name, help, family);
    }

    /// The page as it is sent.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // A string takes all that is written to it.
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
        page.gauge(("open", "What is open"), 7);
        let counts = [("a\"b".to_owned(), 3)];
        page.counts(("refusals", "What was refused"), "reason", counts);
        let ends = [("*.a.example".to_owned(), -1)];
        page.gauges(("end_seconds", "When it ends"), "name", ends);
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
