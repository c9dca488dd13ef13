//! The addresses to listen on and the limits of clients, with their defaults.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::accept::ProxyProtocol;
use crate::listener_names::DEFAULT_LISTENER;

/// The listeners, at least one of each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Listeners of plain HTTP: challenges, redirects to HTTPS, and sites that want plain HTTP.
    pub http: Vec<ListenerOptions>,
    /// Listeners of HTTPS.
    pub https: Vec<ListenerOptions>,
    /// HTTP/3 on the UDP ports of the HTTPS listeners.
    pub http3: Http3Options,
}

/// Settings of HTTP/3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http3Options {
    /// Whether clients are served over HTTP/3.
    pub is_on: bool,
    /// UDP port at which clients reach the proxy, if it is not that of the listener.
    pub port: Option<u16>,
}

impl Default for Http3Options {
    fn default() -> Self {
        Self {
            is_on: true,
            port: None,
        }
    }
}

impl Http3Options {
    /// Returns whether `listener` serves HTTP/3. PROXY headers exist for TCP only.
    #[must_use]
    pub fn is_served_by(&self, listener: &ListenerOptions) -> bool {
        self.is_on && listener.proxy_protocol != Some(ProxyProtocol::Required)
    }
}

impl ListenOptions {
    /// Returns all listeners, those of plain HTTP first.
    pub fn all(&self) -> impl Iterator<Item = &ListenerOptions> {
        self.http.iter().chain(&self.https)
    }
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Name by which sites select it. Several listeners may have the same.
    pub name: String,
    /// Address to listen on. For port 0, the system chooses a free port.
    pub address: SocketAddr,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl ListenerOptions {
    /// Creates a listener without a name of its own.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self {
            name: DEFAULT_LISTENER.to_owned(),
            address,
            proxy_protocol: None,
        }
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        let at = |port| vec![ListenerOptions::at((Ipv6Addr::UNSPECIFIED, port).into())];
        Self {
            http: at(80),
            https: at(443),
            http3: Http3Options::default(),
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
