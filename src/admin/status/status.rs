//! The status of a running proxy, in JSON. Times are RFC 3339 in UTC; lengths of time are seconds.

use serde::{Deserialize, Serialize};

/// The status of a running proxy, or of one of its sites.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of the proxy.
    #[serde(default)]
    pub version: String,
    /// Seconds since its start.
    pub uptime_seconds: u64,
    /// The open listeners.
    #[serde(default)]
    pub listeners: Vec<ListenerStatus>,
    /// Number of sites.
    pub sites: usize,
    /// Number of connected clients.
    pub connections: usize,
    /// Connections by protocol, after their TLS handshake.
    #[serde(default)]
    pub protocols: Vec<ProtocolStatus>,
    /// TLS handshakes since the start.
    #[serde(default)]
    pub handshakes: Vec<HandshakeCount>,
    /// Numbers of certificates.
    pub certificates: CertificateCounts,
    /// Refusals since the start, most frequent reason first.
    pub refusals: Vec<RefusalCount>,
    /// Requests of each site.
    #[serde(default)]
    pub site_traffic: Vec<SiteTraffic>,
    /// Names with a certificate, or that should have one. Those that need attention come first, then those that are renewed
    /// first.
    #[serde(default)]
    pub names: Vec<CertificateStatus>,
    /// Number of names that are left out of the list.
    #[serde(default)]
    pub names_left_out: usize,
    /// Backends by upstream.
    #[serde(default)]
    pub upstreams: Vec<UpstreamTraffic>,
}

/// A listener of a running proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// `http` or `https`.
    pub protocol: String,
    /// The name by which sites select it.
    pub name: String,
    /// The address on which it listens.
    pub address: String,
}

/// Connections of one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolStatus {
    /// `http`, `https-http1`, `https-http2` or `https-http3`.
    pub protocol: String,
    /// Connections that are open.
    pub open: u64,
    /// Connections since the start.
    pub total: u64,
}

/// Number of TLS handshakes of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeCount {
    /// `1.2`, `1.3` or `unknown`.
    pub version: String,
    /// `full`, `resumed` or `failed`.
    pub result: String,
    /// Number of handshakes.
    pub count: u64,
}

/// Numbers of certificates of a running proxy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CertificateCounts {
    /// Certificates in memory.
    pub in_memory: usize,
    /// Configured names that get a certificate from an issuer.
    pub names: usize,
    /// Those of them without a certificate in memory.
    pub names_without: usize,
    /// Certificates in memory that have expired.
    #[serde(default)]
    pub expired: usize,
}

/// Number of refusals for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCount {
    /// The reason in one word.
    pub reason: String,
    /// Number of refusals.
    pub count: u64,
}

/// Requests of one site. Rates are of the last minute, shares and latencies of the last five minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteTraffic {
    /// Name of the site in the configuration.
    pub site: String,
    /// Requests since the start.
    pub requests: u64,
    /// Running requests and tunnels.
    pub in_flight: u64,
    /// Requests per second.
    pub per_second: f64,
    /// Share of responses with status 5xx.
    pub error_share: Option<f64>,
    /// Duration that half of the requests do not exceed.
    pub p50: Option<f64>,
    /// Duration that 95 % of the requests do not exceed.
    pub p95: Option<f64>,
    /// Duration that 99 % of the requests do not exceed.
    pub p99: Option<f64>,
    /// Bytes of bodies and tunnels from clients since the start.
    pub received_bytes: u64,
    /// Bytes of bodies and tunnels to clients since the start.
    pub sent_bytes: u64,
}

/// The certificate of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// The name.
    pub name: String,
    /// The issuer of its certificate.
    pub issuer: Option<String>,
    /// Start of the validity of that certificate, if it is in memory.
    #[serde(default)]
    pub not_before: Option<String>,
    /// End of its validity.
    pub not_after: Option<String>,
    /// Time of its renewal.
    pub renew_at: Option<String>,
    /// The state of the name in one word.
    pub state: String,
    /// The state of the name in one sentence.
    pub standing: String,
    /// `true` if there is no valid certificate, or if the last attempt to renew it has failed.
    pub needs_attention: bool,
}

/// Backends of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpstreamTraffic {
    /// The first route that uses it.
    pub name: String,
    /// Requests in its queue.
    pub queued: usize,
    /// Its backends.
    pub backends: Vec<BackendLine>,
}

/// One backend. Rates are of the last minute, shares and times of the last five minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackendLine {
    /// Its address.
    pub address: String,
    /// `up`, `slow-start`, `ejected` or `down`.
    pub state: String,
    /// Why it gets no requests, in one sentence.
    pub reason: Option<String>,
    /// Seconds until an ejected backend is tried again.
    pub retry_in: Option<u64>,
    /// Running requests and tunnels.
    pub in_flight: usize,
    /// Attempts per second.
    pub per_second: f64,
    /// Share of attempts without a response, or with status 5xx.
    pub error_share: Option<f64>,
    /// Time until the head of the response that half of the attempts do not exceed.
    pub p50: Option<f64>,
    /// Time until the head of the response that 95 % of the attempts do not exceed.
    pub p95: Option<f64>,
    /// Attempts without a response since the start.
    pub failures: u64,
    /// Requests that were sent again after a failed attempt since the start.
    pub retries: u64,
    /// Ejections since the start.
    pub ejections: u64,
    /// Its last health check, if it is checked.
    pub last_check: Option<CheckLine>,
}

/// A health check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckLine {
    /// Time of its end.
    pub at: String,
    /// Reason of its failure in one sentence, if it has failed.
    pub failure: Option<String>,
}
