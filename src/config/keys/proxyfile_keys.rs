//! The keys at the top of a Proxyfile, and those of its tables that apply to all sites.

use super::certificate_keys::{DNS, INTERNAL_CA, ISSUER};
use super::key::Kind::{
    self, AnyOf, Boolean, Choice, Duration, Fraction, List, Map, Number, Size, Table, Text,
};
use super::key::{Key, keys};
use super::site_keys::{COMPRESS, ERROR_PAGES, MIN_TLS, SITE_FORMS};
use super::upstream_keys::UPSTREAM_OPTIONS;

/// The keys at the top of a Proxyfile. The kinds of its tables have all other keys.
pub const PROXYFILE: &[Key] = keys! {
    /// The contact for the CA.
    "email": Text("a string"), r#""ops@example.org""#;
    /// The data directory for certificates, keys and failure records.
    "storage": Text("a string"), r#""file:/var/lib/proxy""#;
    /// The socket for status and control.
    "admin": Text("a path"), r#""/run/proxy/admin.sock""#;
    /// The user that the proxy becomes once it listens, if root starts it.
    "user": Text("a user"), r#""_proxy""#;
    /// The address that serves metrics for Prometheus.
    "metrics": Text("an address"), r#""127.0.0.1:9100""#;
    /// The address of the web page that shows the status.
    "page": Text("an address"), r#""127.0.0.1:9180""#;
    /// The secret that opens the web page, and that allows renewals on it.
    "page-token": Text("a string"), r#""file:/etc/proxy/page-token""#;
    /// The collector of traces, which gets them over OTLP.
    "tracing": AnyOf(&[Boolean, Text("a URL"), Table(TRACING)]), r#""http://localhost:4318""#;
    /// Reloads when the Proxyfile or a file that it names has changed.
    "watch": Boolean, "true";
    /// The CAs, in the order in which they are tried.
    "issuers": List("CAs", &AnyOf(&[Text("a directory"), Table(ISSUER)])), r#"["letsencrypt"]"#;
    /// Checks DNS and port 80 of a name before it is ordered.
    "preflight": Boolean, "true";
    /// The DNS servers to query.
    "resolvers": List("DNS servers", &Text("a string")), r#"["system"]"#;
    /// The method to set records for DNS challenges of all sites.
    "dns": AnyOf(&[Choice(&["persist"]), Table(DNS)]), r#"{ exec = "/etc/proxy/dns-hook" }"#;
    /// The command that runs after each new certificate.
    "on-cert": Text("a path"), r#""/etc/proxy/on-cert""#;
    /// The command that is run, or the URL that is called, when something is badly wrong, and when it is over.
    "on-problem": Text("a command or a URL"), r#""/etc/proxy/on-problem""#;
    /// Options of the internal CA.
    "internal-ca": Table(INTERNAL_CA), r#"{ name-constraints = ["home.arpa"] }"#;
    /// The proxies in front of this one whose information about clients is trusted.
    "trust": List("networks", &Text("a string")), r#"["10.0.0.0/8", "cloudflare"]"#;
    /// Adds the Forwarded header (RFC 7239) to requests for backends.
    "forwarded": Boolean, "true";
    /// The minimum TLS version of clients.
    "min-tls": MIN_TLS, r#""1.2""#;
    /// Serves HTTP/3 on the UDP ports of the HTTPS listeners.
    "http3": AnyOf(&[Boolean, Table(HTTP3)]), "false";
    /// The addresses to listen on.
    "listen": Table(LISTEN), r#"{ https = "[::]:443" }"#;
    /// Limits for connections and requests.
    "limits": Table(LIMITS), r#"{ idle-timeout = "75s" }"#;
    /// Options of all upstreams.
    "upstreams": Table(UPSTREAM_OPTIONS), r#"{ connect-timeout = "3s" }"#;
    /// Level and format of the log.
    "log": Table(LOG), r#"{ level = "info" }"#;
    /// The access log, with a line for each request.
    "access-log": AnyOf(&[Text("a file"), Table(ACCESS_LOG)]), r#""access.log""#;
    /// Gives each request an id.
    "request-id": Boolean, "true";
    /// Compresses responses.
    "compress": COMPRESS, "true";
    /// Pages that replace the proxy's own error messages, by status.
    "error-pages": ERROR_PAGES, r#"{ 502 = "down.html" }"#;
    /// The sites, by name.
    "sites": Map(&SITE_FORMS), r#"{ "www.example.org" = "localhost:3000" }"#;
};

const HTTP3: &[Key] = keys! {
    /// The UDP port at which clients reach the proxy, if it is not that of the listener.
    "port": Number, "443";
};

const LISTENERS: Kind = AnyOf(&[
    Text("an address"),
    Table(LISTENER_KEYS),
    List("addresses", &LISTENER),
]);

const LISTENER: Kind = AnyOf(&[Text("an address"), Table(LISTENER_KEYS)]);

const LISTENER_KEYS: &[Key] = keys! {
    /// The name by which sites select the listener.
    "name": Text("a string"), r#""lan""#;
    /// The address.
    required "address": Text("an address"), r#""[::]:443""#;
    /// Accepts or requires a PROXY header from trusted peers.
    "proxy-protocol": Choice(&["required", "optional"]), r#""optional""#;
};

const LISTEN: &[Key] = keys! {
    /// The addresses for HTTP: challenges, redirects to HTTPS, and sites that are served over plain HTTP.
    "http": LISTENERS, r#""[::]:80""#;
    /// The addresses for HTTPS.
    "https": LISTENERS, r#""[::]:443""#;
};

const LIMITS: &[Key] = keys! {
    /// The time for a TLS handshake.
    "handshake-timeout": Duration, r#""10s""#;
    /// The time for the head of a request.
    "header-timeout": Duration, r#""30s""#;
    /// How long a connection may be idle between requests.
    "idle-timeout": Duration, r#""75s""#;
    /// The time without progress in a body.
    "body-timeout": Duration, r#""60s""#;
    /// The time to finish open connections when the proxy stops.
    "drain-timeout": Duration, r#""30s""#;
    /// The maximum size of a request's head.
    "head-size": Size, r#""32k""#;
    /// The maximum number of header fields in a request.
    "head-fields": Number, "100";
    /// The maximum number of streams in one HTTP/2 connection.
    "streams": Number, "250";
    /// The maximum number of connections from one IPv4 address or IPv6 /64 network.
    "connections-per-client": Number, "1000";
    /// The memory that the HTTP/2 requests and responses of all clients may hold. One client gets at most a quarter of it.
    "stream-memory": Size, r#""256m""#;
};

const LOG: &[Key] = keys! {
    /// The least severe level that is written.
    "level": Choice(&["error", "warn", "info", "debug", "trace"]), r#""info""#;
    /// The format of a line.
    "format": Choice(&["text", "json"]), r#""text""#;
};

const ACCESS_LOG: &[Key] = keys! {
    /// The file, or `-` for standard output.
    required "file": Text("a file"), r#""access.log""#;
    /// The format of a line.
    "format": Choice(&["json", "common", "combined"]), r#""json""#;
    /// Logs the query of each request.
    "query": Boolean, "true";
};

const TRACING: &[Key] = keys! {
    /// The URL of the collector, to which `/v1/traces` is added. Without it, the standard environment variables name it.
    "endpoint": Text("a URL"), r#""http://localhost:4318""#;
    /// A PEM file with the certificate of a private CA that has signed that of the collector.
    "root": Text("a path"), r#""collector-ca.pem""#;
    /// The fraction of requests that are recorded, unless a trusted proxy in front has decided.
    "sample": Fraction, "0.1";
    /// Header fields for the collector, such as its access token.
    "headers": Map(&Text("a string")), r#"{ Authorization = "env:COLLECTOR_TOKEN" }"#;
    /// The name of the service in all traces.
    "service-name": Text("a string"), r#""proxy""#;
};

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain(kind: &Kind) -> bool {
        match kind {
            Text(_) | Number | Duration | Size => true,
            AnyOf(kinds) => kinds.iter().any(is_plain),
            _ => false,
        }
    }

    /// Adds the keys of all tables in `kind` that have no short form although one plain key is all that they need.
    fn add_long(path: &str, kind: &Kind, long: &mut Vec<String>) {
        let required: Vec<_> = kind.keys().iter().filter(|key| key.is_required).collect();
        if let [main] = required[..]
            && is_plain(&main.kind)
            && !is_plain(kind)
        {
            long.push(path.to_owned());
        }
        for key in kind.keys() {
            add_long(&format!("{path}.{}", key.name), &key.kind, long);
        }
        for inner in kind.element().into_iter().chain(kind.entry()) {
            add_long(path, inner, long);
        }
    }

    #[test]
    fn a_table_that_needs_one_plain_key_has_a_short_form() {
        let mut long = Vec::new();
        add_long("Proxyfile", &Table(PROXYFILE), &mut long);
        assert!(long.is_empty(), "{long:?}");
    }
}
