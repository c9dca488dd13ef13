//! Metrics in the formats of Prometheus, on a page that is filled for each request. Knows no room.

use std::fmt;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Names and values of the labels of one number.
pub type Labels = Vec<(&'static str, String)>;

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics, which Prometheus asks for first.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Text,
}

impl Format {
    /// Returns the format for a client that accepts these media types.
    #[must_use]
    pub fn accepted(media_types: &str) -> Self {
        if media_types.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The media type of a page.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

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

/// Numbers of one histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramRow {
    /// Sum of all values.
    pub sum: f64,
    /// Number of all values.
    pub count: u64,
    /// Upper end of each bucket, and the number of values in it alone. Values beyond the last one are added on the page.
    pub buckets: Vec<(f64, u64)>,
}

/// The metrics of one moment.
#[derive(Debug, Default)]
pub struct Page(Registry);

impl Page {
    /// Adds a gauge.
    pub fn gauge(&mut self, metric: Metric<'_>, value: i64) {
        self.gauges(metric, [(Labels::new(), value)]);
    }

    /// Adds a gauge with a value for each set of labels. Does nothing if there are none.
    pub fn gauges(&mut self, metric: Metric<'_>, rows: impl IntoIterator<Item = (Labels, i64)>) {
        self.add(metric, Numbers::Gauges(rows.into_iter().collect()));
    }

    /// Adds a counter with a value for each set of labels. `_total` is appended to its name. Does nothing if there are none.
    pub fn counts(&mut self, metric: Metric<'_>, rows: impl IntoIterator<Item = (Labels, u64)>) {
        self.add(metric, Numbers::Counts(rows.into_iter().collect()));
    }

    /// Adds a histogram for each set of labels. Does nothing if there are none.
    pub fn histograms(
        &mut self,
        metric: Metric<'_>,
        rows: impl IntoIterator<Item = (Labels, HistogramRow)>,
    ) {
        let rows = rows.into_iter().map(|(labels, mut row)| {
            let within: u64 = row.buckets.iter().map(|(_, count)| count).sum();
            let beyond = row.count.saturating_sub(within);
            row.buckets.push((f64::INFINITY, beyond));
            (labels, row)
        });
        self.add(metric, Numbers::Histograms(rows.collect()));
    }

    fn add(&mut self, metric: Metric<'_>, numbers: Numbers) {
        self.0.register(metric.name, metric.help, numbers);
    }

    /// Returns the page as text.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        let mut page = String::new();
        // Writing to a string never fails.
        let _ = match format {
            Format::OpenMetrics => text::encode(&mut page, &self.0),
            Format::Text => prometheus_text::encode(&mut page, &self.0),
        };
        page
    }
}

/// The numbers of one metric.
#[derive(Debug)]
enum Numbers {
    Gauges(Vec<(Labels, i64)>),
    Counts(Vec<(Labels, u64)>),
    Histograms(Vec<(Labels, HistogramRow)>),
}

/// Encodes each row with its labels.
fn encode<T>(
    encoder: &mut MetricEncoder<'_>,
    rows: &[(Labels, T)],
    mut encode: impl FnMut(&mut MetricEncoder<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    rows.iter().try_for_each(|(labels, row)| {
        if labels.is_empty() {
            return encode(encoder, row);
        }
        encode(&mut encoder.encode_family(labels)?, row)
    })
}

impl EncodeMetric for Numbers {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        match self {
            Self::Gauges(rows) => {
                encode(encoder, rows, |encoder, value| encoder.encode_gauge(value))
            }
            Self::Counts(rows) => encode(encoder, rows, |encoder, value| {
                encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
            }),
            Self::Histograms(rows) => encode(encoder, rows, |encoder, row| {
                let HistogramRow {
                    sum,
                    count,
                    buckets,
                } = row;
                encoder.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
            }),
        }
    }

    fn metric_type(&self) -> MetricType {
        match self {
            Self::Gauges(_) => MetricType::Gauge,
            Self::Counts(_) => MetricType::Counter,
            Self::Histograms(_) => MetricType::Histogram,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Gauges(rows) => rows.is_empty(),
            Self::Counts(rows) => rows.is_empty(),
            Self::Histograms(rows) => rows.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = Page::default();
        page.gauge(Metric::new("open", "What is open"), 7);
        let counts = [(vec![("reason", "a\"b".to_owned())], 3)];
        page.counts(Metric::new("refusals", "What was refused"), counts);
        let ends = [(vec![("name", "*.a.example".to_owned())], -1)];
        page.gauges(Metric::new("end_seconds", "When it ends"), ends);
        page.gauges(Metric::new("none", "What there is not"), []);
        let times = HistogramRow {
            sum: 1.5,
            count: 3,
            buckets: vec![(0.5, 1), (1.0, 1)],
        };
        let times = [(vec![("site", "a".to_owned())], times)];
        page.histograms(Metric::new("time_seconds", "How long it took"), times);
        page
    }

    #[test]
    fn numbers_are_written_as_open_metrics() {
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
# HELP time_seconds How long it took.
# TYPE time_seconds histogram
time_seconds_sum{site=\"a\"} 1.5
time_seconds_count{site=\"a\"} 3
time_seconds_bucket{le=\"0.5\",site=\"a\"} 1
time_seconds_bucket{le=\"1.0\",site=\"a\"} 2
time_seconds_bucket{le=\"+Inf\",site=\"a\"} 3
# EOF
";
        assert_eq!(page().text(Format::OpenMetrics), expected);
    }

    #[test]
    fn numbers_are_written_as_text_for_clients_that_know_no_open_metrics() {
        let text = page().text(Format::accepted("text/plain, */*;q=0.1"));
        for lines in [
            "# TYPE refusals_total counter\nrefusals_total{reason=\"a\\\"b\"} 3\n",
            "time_seconds_bucket{site=\"a\",le=\"1\"} 2\n",
            "time_seconds_count{site=\"a\"} 3\n",
        ] {
            assert!(text.contains(lines), "{lines}: {text}");
        }
        assert!(!text.contains("EOF"), "{text}");
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    }
}
