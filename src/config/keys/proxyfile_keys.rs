//! The keys at the top of a Proxyfile, and those of its tables that hold for all sites.

use super::certificate_keys::{INTERNAL_CA, ISSUER};
use super::key::Kind::{
    self, AnyOf, Boolean, Choice, Duration, List, Map, Number, Size, Table, Text,
};
use super::key::{Key, keys};
use super::site_keys::{COMPRESS, ERROR_PAGES, MIN_TLS, SITE_FORMS};
use super::upstream_keys::UPSTREAM_OPTIONS;

/// The keys at the top of a Proxyfile. The kinds of the tables lead to all others.
pub const PROXYFILE: &[Key] = keys! {
    /// The contact for the CA.
    "email": Text("a string"), r#""ops@example.org""#;
    /// The data directory: certificates, keys and the memory of failures.
    "storage": Text("a string"), r#""file:/var/lib/proxy""#;
    /// The socket for status and control.
    "admin": Text("a path"), r#""/run/proxy/admin.sock""#;
    /// Where metrics are served for Prometheus.
    "metrics": Text("an address"), r#""127.0.0.1:9100""#;
    /// The CAs in the order in which they are tried.
    "issuers": List("tables", &Table(ISSUER)), r#"[{ directory = "letsencrypt" }]"#;
    /// Checks DNS and port 80 of a name before a CA is asked.
    "preflight": Boolean, "true";
    /// The DNS servers that are asked.
    "resolvers": List("DNS servers", &Text("a string")), r#"["system"]"#;
    /// The command that runs after each new certificate.
    "on-cert": Text("a path"), r#""/etc/proxy/on-cert""#;
    /// What this machine's own CA may sign for.
    "internal-ca": Table(INTERNAL_CA), r#"{ name-constraints = ["home.arpa"] }"#;
    /// The proxies in front of this one that are believed about their clients.
    "trust": List("networks", &Text("a string")), r#"["10.0.0.0/8", "cloudflare"]"#;
    /// Sends the client's address to backends in Forwarded (RFC 7239) too.
    "forwarded": Boolean, "true";
    /// The oldest TLS version of clients.
    "min-tls": MIN_TLS, r#""1.2""#;
    /// Where clients connect.
    "listen": Table(LISTEN), r#"{ https = "[::]:443" }"#;
    /// Bounds on what one client can take.
    "limits": Table(LIMITS), r#"{ idle-timeout = "75s" }"#;
    /// Options of all upstreams.
    "upstreams": Table(UPSTREAM_OPTIONS), r#"{ connect-timeout = "3s" }"#;
    /// How much the log says, and in which form.
    "log": Table(LOG), r#"{ level = "info" }"#;
    /// The file with a line for each request.
    "access-log": AnyOf(&[Text("a file"), Table(ACCESS_LOG)]), r#""access.log""#;
    /// Gives each request an id.
    "request-id": Boolean, "true";
    /// Compresses responses.
    "compress": COMPRESS, "true";
    /// Pages instead of the proxy's own error messages, by status.
    "error-pages": ERROR_PAGES, r#"{ 502 = "down.html" }"#;
    /// The sites by their names.
    "sites": Map(&SITE_FORMS), r#"{ "www.example.org" = "localhost:3000" }"#;
};

const LISTENER: Kind = AnyOf(&[Text("an address"), Table(LISTENER_KEYS)]);

const LISTENER_KEYS: &[Key] = keys! {
    /// The address.
    required "address": Text("an address"), r#""[::]:443""#;
    /// Whether trusted peers begin with a PROXY header.
    "proxy-protocol": Choice(&["required", "optional"]), r#""optional""#;
};

const LISTEN: &[Key] = keys! {
    /// Where the CA's challenges are answered and the rest is redirected to https.
    "http": LISTENER, r#""[::]:80""#;
    /// Where HTTPS is served.
    "https": LISTENER, r#""[::]:443""#;
};

const LIMITS: &[Key] = keys! {
    /// The time for a TLS handshake.
    "handshake-timeout": Duration, r#""10s""#;
    /// The time for the head of a request.
    "header-timeout": Duration, r#""30s""#;
    /// How long a connection may be idle between requests.
    "idle-timeout": Duration, r#""75s""#;
    /// The time without progress of a body.
    "body-timeout": Duration, r#""60s""#;
    /// The time for open connections when the proxy stops.
    "drain-timeout": Duration, r#""30s""#;
    /// The size of a request's head.
    "head-size": Size, r#""32k""#;
    /// The number of header fields of a request.
    "head-fields": Number, "100";
    /// The number of streams of one HTTP/2 connection.
    "streams": Number, "250";
    /// The number of connections of one IPv4 address or IPv6 /64 network.
    "connections-per-client": Number, "200";
};

const LOG: &[Key] = keys! {
    /// The least severe level that is written.
    "level": Choice(&["error", "warn", "info", "debug", "trace"]), r#""info""#;
    /// The form of a line.
    "format": Choice(&["text", "json"]), r#""text""#;
};

const ACCESS_LOG: &[Key] = keys! {
    /// The file, or `-` for standard output.
    required "file": Text("a file"), r#""access.log""#;
    /// The form of a line.
    "format": Choice(&["json", "common", "combined"]), r#""json""#;
    /// Whether lines have the query of the request.
    "query": Boolean, "true";
};
