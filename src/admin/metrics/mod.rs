//! The metrics for Prometheus: the page, and its parts.

mod backend_metrics;
mod certificate_metrics;
mod connection_metrics;
mod metric_value;
mod metrics_page;
mod request_metrics;

pub(super) use metrics_page::metrics_page;
