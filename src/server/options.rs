//! The addresses to listen on and the limits of clients, with their defaults.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::accept::ProxyProtocol;

/// The addresses to listen on. For port 0, the system chooses a free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Address of plain HTTP: challenges, and redirects to HTTPS.
    pub http: SocketAddr,
    /// Address of HTTPS.
    pub https: SocketAddr,
    /// Whether connections to `http` begin with a PROXY header.
    pub http_proxy_protocol: Option<ProxyProtocol>,
    /// Whether connections to `https` begin with a PROXY header.
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

/// Limits of client connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for the TLS handshake.
    pub handshake_timeout: Duration,
    /// Time from the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// Time that a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// Time that a body may make no progress, in either direction.
    pub body_timeout: Duration,
    /// Largest head of a request, in bytes.
    pub head_size: usize,
    /// Most fields in the head of a request.
    pub head_fields: usize,
    /// Most concurrent streams of one HTTP/2 connection.
    pub streams: u32,
    /// Memory that the HTTP/2 streams of all clients may hold, in bytes.
    pub stream_memory: usize,
    /// Most open connections of one client.
    pub connections_per_client: u16,
    /// Time for open connections to finish when the process stops.
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
            stream_memory: 256 * 1024 * 1024,
            connections_per_client: 1000,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
