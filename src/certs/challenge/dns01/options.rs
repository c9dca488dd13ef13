//! Settings of the DNS challenge of a site.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::certs::secret::Secret;

/// Settings of the DNS challenge of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsOptions {
    /// Method that sets the record.
    pub method: DnsMethod,
    /// Wait between setting a record and telling the CA.
    pub propagation: PropagationOptions,
}

/// Settings of the wait until a record is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropagationOptions {
    /// Servers that must show a record before the CA is told; if empty, the name servers of the zone.
    pub name_servers: Vec<SocketAddr>,
    /// Limit for the time until all of these servers show the record.
    pub timeout: Duration,
    /// Whether the attempt fails after this time. Otherwise the CA is told all the same.
    pub is_strict: bool,
    /// Time to wait instead of asking any server.
    pub delay: Option<Duration>,
}

impl Default for PropagationOptions {
    /// The name servers of the zone, two minutes, and not strict.
    fn default() -> Self {
        Self {
            name_servers: Vec::new(),
            timeout: Duration::from_secs(120),
            is_strict: false,
            delay: None,
        }
    }
}

impl DnsOptions {
    /// Creates the default settings for `method`.
    #[must_use]
    pub fn new(method: DnsMethod) -> Self {
        Self {
            method,
            propagation: PropagationOptions::default(),
        }
    }
}

/// Method that sets the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsMethod {
    /// A program of the operator.
    Exec(PathBuf),
    /// Dynamic updates of the zone (RFC 2136).
    Rfc2136(Rfc2136Options),
    /// The API of Cloudflare.
    Cloudflare(CloudflareOptions),
    /// A record that the operator sets once (draft-ietf-acme-dns-persist).
    Persist,
}

/// DNS server that accepts signed updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rfc2136Options {
    /// Primary server of the zone.
    pub server: ServerAddress,
    /// Name of the key on the server.
    pub key_name: String,
    /// Key in base64.
    pub key: Secret,
    /// Algorithm of the signatures.
    pub algorithm: TsigAlgorithm,
}

/// Host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// Host name, or IP address without brackets.
    pub host: String,
    /// Port number.
    pub port: u16,
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Algorithm that signs an update (RFC 8945 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`
    HmacSha256,
    /// `hmac-sha384`
    HmacSha384,
    /// `hmac-sha512`
    HmacSha512,
}

/// Access to the API of Cloudflare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudflareOptions {
    /// Token with the permissions Zone:Read and DNS:Edit.
    pub token: Secret,
    /// Base URL of the API.
    pub url: Url,
}
