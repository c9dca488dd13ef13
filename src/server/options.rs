//! Where to listen and what one client may cost, with the defaults.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::proxy_protocol::ProxyProtocol;

/// The two addresses that clients reach. Port 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Answers challenges and redirects.
    pub http: SocketAddr,
    /// Serves HTTPS.
    pub https: SocketAddr,
    /// How clients of `http` begin, where they come by way of another proxy.
    pub http_proxy_protocol: Option<ProxyProtocol>,
    /// The same for `https`.
    pub https_proxy_protocol: Option<ProxyProtocol>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            http: (Ipv6Addr::UNSPECIFIED, 80).into(),
            https: (Ipv6Addr::UNSPECIFIED, 443).into(),
            http_proxy_protocol: None,
            https_proxy_protocol: None,
        }
    }
}

/// What one client connection may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the TLS handshake to finish.
    pub handshake_timeout: Duration,
    /// For a request's head to arrive once its first byte has.
    pub header_timeout: Duration,
    /// How long a kept-alive connection may lie unused.
    pub idle_timeout: Duration,
    /// How long a body may make no progress, in either direction.
    pub body_timeout: Duration,
    /// Bytes of one request's head.
    pub head_size: usize,
    /// Fields in one request's head.
    pub head_fields: usize,
    /// Concurrent streams of one HTTP/2 connection.
    pub streams: u32,
    /// Open connections of one client, where they are bounded.
    pub connections_per_client: Option<u16>,
    /// How long open connections get to finish when the process stops.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            head_size: 32 * 1024,
            head_fields: 100,
            streams: 250,
            connections_per_client: None,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
