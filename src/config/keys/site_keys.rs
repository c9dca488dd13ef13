//! The keys of a site and of its routes.

use super::certificate_keys::{DNS, ON_DEMAND, TLS_FILES};
use super::key::Kind::{
    self, AnyOf, Boolean, Choice, Duration, False, List, Map, Number, Size, Table, Text,
};
use super::key::{Key, keys};
use super::upstream_keys::{ADDRESSES, HEALTH, UPSTREAM_OPTIONS};

/// Forms of a site: an upstream, or a table.
pub(crate) const SITE_FORMS: Kind = AnyOf(&[Text("an upstream"), ADDRESSES, Table(SITE)]);

const ROUTE_FORMS: Kind = AnyOf(&[Text("an upstream"), ADDRESSES, Table(ROUTE)]);

const UPSTREAM: Kind = AnyOf(&[Text("an upstream"), ADDRESSES]);

pub(crate) const SITE: &[Key] = keys! {
    /// Further names of the site.
    "aliases": List("names", &Text("a string")), r#"["example.org"]"#;
    /// The addresses of the backends.
    "upstream": UPSTREAM, r#""localhost:3000""#;
    /// The balancing method.
    "balance": BALANCE, r#""least-conn""#;
    /// Health checks of the backends.
    "health": HEALTH, r#""/healthz""#;
    /// Options of this upstream, over those of `[upstreams]`.
    "upstream-options": Table(UPSTREAM_OPTIONS), r#"{ response-timeout = "5m" }"#;
    /// Redirects every request.
    "redirect": REDIRECT, r#""https://www.example.org""#;
    /// Answers every request with the same response.
    "respond": RESPOND, "410";
    /// Answers with the files of a folder.
    "files": FILES, r#""/srv/www""#;
    /// The path to insert before each request path.
    "rewrite": Text("a path"), r#""/shop""#;
    /// Other actions for some paths, by prefix.
    "routes": Map(&ROUTE_FORMS), r#"{ "/api/" = "localhost:4000" }"#;
    /// Redirects plain HTTP to HTTPS, serves the site over plain HTTP alone, or over both.
    "http": Choice(&["redirect", "serve", "both"]), r#""serve""#;
    /// The only listeners on which the site is served, by name.
    "listen": AnyOf(&[Text("a listener"), List("listeners", &Text("a string"))]), r#"["lan"]"#;
    /// Changes of header fields on the way to the backend.
    "request-headers": Table(HEADERS), r#"{ remove = ["X-Debug"] }"#;
    /// Changes of header fields on the way to the client.
    "response-headers": Table(HEADERS), r#"{ remove = ["Server"] }"#;
    /// The networks that have access.
    "allow": NETWORKS, r#"["10.0.0.0/8"]"#;
    /// The networks that have no access.
    "deny": NETWORKS, r#"["192.0.2.66"]"#;
    /// Requires an allowed network and a password, or one of the two.
    "satisfy": SATISFY, r#""any""#;
    /// Requires a user name and password.
    "basic-auth": Table(BASIC_AUTH), r#"{ users = { anna = "$argon2id$…" } }"#;
    /// A server that authorizes each request.
    "forward-auth": FORWARD_AUTH, r#""http://localhost:9091/api/verify""#;
    /// The maximum rate of requests.
    "rate-limit": RATE_LIMITS, r#"{ requests = 100, per = "1s" }"#;
    /// The maximum size of a request's body.
    "max-body": Size, r#""10m""#;
    /// Lower limits than those of all sites.
    "limits": Table(SITE_LIMITS), r#"{ head-size = "16k" }"#;
    /// The maximum time from the head of a request to the end of its response.
    "request-timeout": Duration, r#""5m""#;
    /// Adds the header Strict-Transport-Security.
    "hsts": AnyOf(&[Boolean, Duration, Table(HSTS)]), r#""1y""#;
    /// Certificates on demand, for names that a URL allows.
    "on-demand": AnyOf(&[Text("a URL"), Table(ON_DEMAND)]), r#""http://localhost:4000/allowed""#;
    /// The only issuer for the site.
    "issuer": Text("a string"), r#""company""#;
    /// The method to set records for DNS challenges.
    "dns": AnyOf(&[Choice(&["persist"]), Table(DNS), False]), r#"{ exec = "/etc/proxy/dns-hook" }"#;
    /// Gets a certificate for the site although that of a wildcard site covers it.
    "own-certificate": Boolean, "true";
    /// Your own certificate and key.
    "tls": Table(TLS_FILES), r#"{ cert = "cert.pem", key = "key.pem" }"#;
    /// Shows the certificate of this site to clients without SNI.
    "default": Boolean, "true";
    /// Verifies client certificates.
    "client-auth": AnyOf(&[Text("a path"), Table(CLIENT_AUTH)]), r#""clients-ca.pem""#;
    /// The minimum TLS version of clients.
    "min-tls": MIN_TLS, r#""1.3""#;
    /// Takes safe requests over HTTP/3 that come within the handshake (0-RTT).
    "early-data": Boolean, "true";
    /// Logs the requests of this site in the access log.
    "access-log": Boolean, "false";
    /// Gives each request an id.
    "request-id": Boolean, "true";
    /// Compresses responses.
    "compress": COMPRESS, "true";
    /// Pages that replace the proxy's own error messages, by status.
    "error-pages": ERROR_PAGES, r#"{ 502 = "down.html" }"#;
    /// Answers all requests with 503.
    "maintenance": AnyOf(&[Boolean, Text("a page"), Table(MAINTENANCE)]), "true";
};

pub(crate) const ROUTE: &[Key] = keys! {
    /// The addresses of the backends.
    "upstream": UPSTREAM, r#""localhost:3000""#;
    /// The balancing method.
    "balance": BALANCE, r#""least-conn""#;
    /// Health checks of the backends.
    "health": HEALTH, r#""/healthz""#;
    /// Options of this upstream, over those of the site.
    "upstream-options": Table(UPSTREAM_OPTIONS), r#"{ response-timeout = "5m" }"#;
    /// Redirects every request.
    "redirect": REDIRECT, r#""https://www.example.org""#;
    /// Answers every request with the same response.
    "respond": RESPOND, "410";
    /// Answers with the files of a folder.
    "files": FILES, r#""/srv/www""#;
    /// Removes the prefix from the path for the backend or the folder.
    "strip-prefix": Boolean, "true";
    /// The path that replaces the prefix for the backend or the folder.
    "rewrite": Text("a path"), r#""/v2""#;
    /// Changes of header fields on the way to the backend.
    "request-headers": Table(HEADERS), r#"{ remove = ["X-Debug"] }"#;
    /// Changes of header fields on the way to the client.
    "response-headers": Table(HEADERS), r#"{ remove = ["Server"] }"#;
    /// The networks that have access, instead of those of the site.
    "allow": AnyOf(&[NETWORKS, False]), r#"["private"]"#;
    /// The networks that have no access, instead of those of the site.
    "deny": AnyOf(&[NETWORKS, False]), r#"["192.0.2.66"]"#;
    /// Requires an allowed network and a password, or one of the two.
    "satisfy": SATISFY, r#""any""#;
    /// Requires the client certificate that the site only accepts.
    "client-auth": AnyOf(&[Choice(&["required"]), False]), r#""required""#;
    /// Requires a user name and password, instead of those of the site.
    "basic-auth": AnyOf(&[Table(BASIC_AUTH), False]), r#"{ users = { anna = "$argon2id$…" } }"#;
    /// A server that authorizes each request, instead of that of the site.
    "forward-auth": AnyOf(&[FORWARD_AUTH, False]), r#""http://localhost:9091/api/verify""#;
    /// The maximum rate of requests, instead of that of the site.
    "rate-limit": AnyOf(&[RATE_LIMITS, False]), r#"{ requests = 5, per = "1m" }"#;
    /// The maximum size of a request's body, instead of that of the site.
    "max-body": AnyOf(&[Size, False]), r#""1g""#;
    /// The maximum time from the head of a request to the end of its response, instead of that of the site.
    "request-timeout": AnyOf(&[Duration, False]), r#""1h""#;
};

const NETWORKS: Kind = List("networks", &Text("a string"));

const SATISFY: Kind = Choice(&["all", "any"]);

const RATE_LIMITS: Kind = AnyOf(&[Table(RATE_LIMIT), List("tables", &Table(RATE_LIMIT))]);

const BALANCE: Kind = Choice(&[
    "random-two",
    "round-robin",
    "least-conn",
    "ip-hash",
    "cookie",
]);

const REDIRECT: Kind = AnyOf(&[Text("a URL"), Text("a path"), Table(REDIRECT_KEYS)]);

const REDIRECT_KEYS: &[Key] = keys! {
    /// The target.
    required "to": Text("a URL"), r#""https://www.example.org""#;
    /// The status of the response.
    "status": Number, "301";
    /// Appends the rest of the path after the prefix.
    "append": Boolean, "false";
};

const RESPOND: Kind = AnyOf(&[Number, Table(RESPOND_KEYS)]);

const RESPOND_KEYS: &[Key] = keys! {
    /// The status of the response.
    "status": Number, "404";
    /// The body of the response.
    "body": Text("a string"), r#""Gone.""#;
    /// The content type of the body.
    "content-type": Text("a string"), r#""text/plain; charset=utf-8""#;
};

const FILES: Kind = AnyOf(&[Text("a folder"), Table(FILES_KEYS)]);

const FILES_KEYS: &[Key] = keys! {
    /// The folder.
    required "root": Text("a folder"), r#""/srv/www""#;
    /// The file to send if the requested one does not exist.
    "fallback": Text("a path"), r#""index.html""#;
};

const HEADERS: &[Key] = keys! {
    /// The fields to remove.
    "remove": List("header names", &Text("a string")), r#"["Server"]"#;
    /// The fields whose value is replaced.
    "set": Map(&Text("a string")), r#"{ X-Frame-Options = "DENY" }"#;
    /// The fields to which a value is added.
    "add": Map(&AnyOf(&[Text("a string"), List("strings", &Text("a string"))])), r#"{ Link = "</a.css>; rel=preload" }"#;
};

const BASIC_AUTH: &[Key] = keys! {
    /// The users with the hashes of their passwords.
    required "users": Map(&Text("a string")), r#"{ anna = "$argon2id$…" }"#;
    /// The realm that browsers show.
    "realm": Text("a string"), r#""admin""#;
    /// Forwards the user name and password to the backend.
    "forward": Boolean, "false";
};

const FORWARD_AUTH: Kind = AnyOf(&[Text("a URL"), Table(FORWARD_AUTH_KEYS)]);

const FORWARD_AUTH_KEYS: &[Key] = keys! {
    /// The URL of the authorization server.
    required "url": Text("a URL"), r#""http://localhost:9091/api/verify""#;
    /// The fields of its response that are copied to the backend.
    "copy-headers": List("headers", &Text("a string")), r#"["Remote-User"]"#;
    /// The time for its response.
    "timeout": Duration, r#""10s""#;
};

const RATE_LIMIT: &[Key] = keys! {
    /// The number of requests.
    required "requests": Number, "100";
    /// The time for that number of requests.
    required "per": Duration, r#""1s""#;
    /// The number of requests that may arrive at once.
    "burst": Number, "300";
    /// Counts each client or the whole site.
    "by": Choice(&["client", "site"]), r#""client""#;
};

const SITE_LIMITS: &[Key] = keys! {
    /// The maximum size of a request's head.
    "head-size": Size, r#""16k""#;
    /// The maximum number of header fields in a request.
    "head-fields": Number, "50";
};

const HSTS: &[Key] = keys! {
    /// The time for which browsers use only https.
    required "max-age": Duration, r#""1y""#;
    /// Includes all subdomains.
    "include-subdomains": Boolean, "true";
    /// Allows the preload lists of browsers to contain the site.
    "preload": Boolean, "true";
};

const CLIENT_AUTH: &[Key] = keys! {
    /// The CA certificates that verify clients, in PEM.
    required "ca": Text("a path"), r#""clients-ca.pem""#;
    /// Requires a certificate, or also accepts clients without one.
    "mode": Choice(&["required", "optional"]), r#""required""#;
};

/// Kind of `min-tls`.
pub(crate) const MIN_TLS: Kind = Choice(&["1.2", "1.3"]);

/// Kind of `compress`.
pub(crate) const COMPRESS: Kind = AnyOf(&[Boolean, Table(COMPRESS_KEYS)]);

const COMPRESS_KEYS: &[Key] = keys! {
    /// The codings, in order of preference.
    "codings": List("codings", &Choice(&["zstd", "br", "gzip"])), r#"["zstd", "br", "gzip"]"#;
    /// The content types that are compressed.
    "types": List("content types", &Text("a string")), r#"["text/*"]"#;
    /// The minimum size of a body that is compressed.
    "min-size": Size, r#""1k""#;
};

/// Kind of `error-pages`.
pub(crate) const ERROR_PAGES: Kind = Map(&Text("a path"));

const MAINTENANCE: &[Key] = keys! {
    /// The page to send.
    "page": Text("a page"), r#""closed.html""#;
    /// The time after which clients may try again.
    "retry-after": Duration, r#""5m""#;
};
