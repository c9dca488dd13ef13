//! What may be set for an upstream, with the defaults.

use std::time::Duration;

use super::balancing::Balancing;
use crate::upstream::transport::{SendProxy, TlsOptions};

/// How long an upstream may take, how it is trusted, and how it uses its backends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// For a TCP connection to stand.
    pub connect_timeout: Duration,
    /// From the last movement of the request to the response's head: an upload that moves holds the clock. Never cuts a
    /// running stream or a tunnel.
    pub response_timeout: Duration,
    /// How long a pooled connection may lie unused. Below the keep-alive time of common app
    /// servers (5 s in Node and uvicorn), so that a reused connection is seldom a dying one.
    pub idle_timeout: Duration,
    /// Whether a connection begins with a PROXY header that says for whom it is opened. It then carries one request only.
    pub send_proxy: Option<SendProxy>,
    /// How backends behind `https://` are verified.
    pub tls: TlsOptions,
    /// How its backends share the requests.
    pub balancing: Box<Balancing>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(4),
            send_proxy: None,
            tls: TlsOptions::default(),
            balancing: Box::default(),
        }
    }
}
