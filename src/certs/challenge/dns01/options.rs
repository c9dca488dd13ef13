//! How the records of a site are set.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::certs::secret::Secret;

/// How a site's names are proved in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsOptions {
    /// Who sets the record.
    pub means: DnsMeans,
    /// The servers that must show a record before the CA is told; the zone's own where the list is empty.
    pub name_servers: Vec<SocketAddr>,
    /// How long the record may take to show.
    pub propagation_timeout: Duration,
}

impl DnsOptions {
    /// The zone's own name servers have two minutes to show what `means` has set.
    #[must_use]
    pub fn new(means: DnsMeans) -> Self {
        Self {
            means,
            name_servers: Vec::new(),
            propagation_timeout: Duration::from_secs(120),
        }
    }
}

/// Who sets the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsMeans {
    /// The operator's program.
    Exec(PathBuf),
    /// A dynamic update of the zone (RFC 2136).
    Rfc2136(Rfc2136Options),
    /// Cloudflare's API.
    Cloudflare(CloudflareOptions),
    /// The operator, once and for all (draft-ietf-acme-dns-persist).
    Persist,
}

/// A server that takes signed updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rfc2136Options {
    /// The zone's primary server.
    pub server: ServerAddress,
    /// The key's name, which the server knows it by.
    pub key_name: String,
    /// The key itself, in base64.
    pub key: Secret,
    /// What the key signs with.
    pub algorithm: TsigAlgorithm,
}

/// Host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// A name or an IP address without brackets.
    pub host: String,
    /// The port.
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

/// How an update is signed (RFC 8945).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`
    HmacSha256,
    /// `hmac-sha384`
    HmacSha384,
    /// `hmac-sha512`
    HmacSha512,
}

/// An account at Cloudflare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudflareOptions {
    /// A token that may read zones and edit their DNS.
    pub token: Secret,
    /// The API.
    pub url: Url,
}
