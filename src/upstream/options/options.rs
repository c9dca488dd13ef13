//! Settings of one upstream, with the defaults.

use std::time::Duration;

use super::balance_options::BalanceOptions;
use crate::upstream::transport::{SendProxy, TlsOptions};

/// Time-outs, TLS and load balancing of one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Maximum time to open a connection, with the TLS handshake.
    pub connect_timeout: Duration,
    /// Maximum time from the last progress of the request to the head of the response. While an upload makes progress,
    /// the clock stands still. Never ends a running stream or a tunnel.
    pub response_timeout: Duration,
    /// Maximum idle time of a pooled connection. The default is below the keep-alive time of common app servers (5 s in
    /// Node and uvicorn), so that a reused connection is rarely about to close.
    pub idle_timeout: Duration,
    /// Version of the PROXY header that names the client, if connections start with one. Each connection then carries
    /// only one request.
    pub send_proxy: Option<SendProxy>,
    /// Verification of backends behind `https://`.
    pub tls: TlsOptions,
    /// Distribution of the requests among the backends.
    pub balancing: Box<BalanceOptions>,
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
