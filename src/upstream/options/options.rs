//! Settings of one upstream, with the defaults.

use std::time::Duration;

use super::balancing::Balancing;
use crate::upstream::transport::{SendProxy, TlsOptions};

/// Time-outs, TLS and load balancing of one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Time for a TCP connection to be established.
    pub connect_timeout: Duration,
    /// Time from the last progress of the request to the response's head: an upload that moves stops the clock. Never cuts a
    /// running stream or a tunnel.
    pub response_timeout: Duration,
    /// Time for which a pooled connection may be idle. Below the keep-alive time of common app
    /// servers (5 s in Node and uvicorn), so that a reused connection is seldom a dying one.
    pub idle_timeout: Duration,
    /// Version of the PROXY header that names the client, if connections begin with one. Each then carries one request only.
    pub send_proxy: Option<SendProxy>,
    /// Verification of backends behind `https://`.
    pub tls: TlsOptions,
    /// Distribution of the requests among the backends.
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
