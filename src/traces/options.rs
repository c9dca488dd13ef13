//! Options of tracing.

use std::path::PathBuf;

use url::Url;

use super::collector_header::CollectorHeader;

/// Options of tracing.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceOptions {
    /// Base URL of the collector. The path `/v1/traces` is added to it.
    pub endpoint: Url,
    /// `true` if the endpoint is the whole URL instead, to which no path is added.
    pub is_whole_url: bool,
    /// PEM file with the certificates that vouch for the collector, instead of the roots of this machine.
    pub root: Option<PathBuf>,
    /// Fraction of requests that are recorded, unless a trusted peer has decided. From 0 to 1.
    pub sample: f64,
    /// Header fields for the collector.
    pub headers: Vec<CollectorHeader>,
    /// Name of the service in all spans.
    pub service_name: String,
}

impl TraceOptions {
    /// Options with the defaults: all requests are recorded.
    #[must_use]
    pub fn new(endpoint: Url) -> Self {
        Self {
            endpoint,
            is_whole_url: false,
            root: None,
            sample: 1.0,
            headers: Vec::new(),
            service_name: "proxy".to_owned(),
        }
    }
}
