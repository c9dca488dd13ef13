//! The keys of a site and of its routes.

use super::certificate_keys::{DNS, ON_DEMAND, TLS_FILES};
use super::key::Kind::{
    self, AnyOf, Boolean, Choice, Duration, List, Map, Number, Size, Table, Text,
};
use super::key::{Key, keys};
use super::upstream_keys::{ADDRESSES, HEALTH, UPSTREAM_OPTIONS};

/// An upstream in one line, or a table.
pub(crate) const SITE_FORMS: Kind = AnyOf(&[Text("an upstream"), ADDRESSES, Table(SITE)]);

const ROUTE_FORMS: Kind = AnyOf(&[Text("an upstream"), ADDRESSES, Table(ROUTE)]);

const UPSTREAM: Kind = AnyOf(&[Text("an upstream"), ADDRESSES]);

pub(crate) const SITE: &[Key] = keys! {
    /// More names that are served alike.
    "aliases": List("names", &Text("a string")), r#"["example.org"]"#;
    /// The backends that answer.
    "upstream": UPSTREAM, r#""localhost:3000""#;
    /// How backends share the requests.
    "balance": BALANCE, r#""least-conn""#;
    /// Checks of the backends.
    "health": HEALTH, r#""/healthz""#;
    /// Options of this upstream, over those of `[upstreams]`.
    "upstream-options": Table(UPSTREAM_OPTIONS), r#"{ response-timeout = "5m" }"#;
    /// Redirects every request.
    "redirect": REDIRECT, r#""https://www.example.org""#;
    /// Answers every request with the same response.
    "respond": Table(RESPOND), "{ status = 410 }";
    /// Answers with the files of a folder.
    "files": FILES, r#""/srv/www""#;
    /// The path that is put before those that the backend gets.
    "rewrite": Text("a path"), r#""/shop""#;
    /// What happens to some paths instead.
    "routes": Map(&ROUTE_FORMS), r#"{ "/api/" = "localhost:4000" }"#;
    /// Changes of header fields on the way to the backend.
    "request-headers": Table(HEADERS), r#"{ remove = ["X-Debug"] }"#;
    /// Changes of header fields on the way to the client.
    "response-headers": Table(HEADERS), r#"{ remove = ["Server"] }"#;
    /// The networks that may come in.
    "allow": List("networks", &Text("a string")), r#"["10.0.0.0/8"]"#;
    /// The networks that may not.
    "deny": List("networks", &Text("a string")), r#"["192.0.2.66"]"#;
    /// Passwords.
    "basic-auth": Table(BASIC_AUTH), r#"{ users = { anna = "$argon2id$…" } }"#;
    /// Another server that decides about each request.
    "forward-auth": Table(FORWARD_AUTH), r#"{ url = "http://localhost:9091/api/verify" }"#;
    /// How many requests there may be in a time.
    "rate-limit": AnyOf(&[Table(RATE_LIMIT), List("tables", &Table(RATE_LIMIT))]), r#"{ requests = 100, per = "1s" }"#;
    /// The size of a request's body.
    "max-body": Size, r#""10m""#;
    /// Narrower limits than those of all sites.
    "limits": Table(SITE_LIMITS), r#"{ head-size = "16k" }"#;
    /// The time from the head of a request to the end of its response.
    "request-timeout": Duration, r#""5m""#;
    /// Adds Strict-Transport-Security.
    "hsts": AnyOf(&[Duration, Table(HSTS)]), r#""1y""#;
    /// The URL that says which names may have a certificate.
    "on-demand": Table(ON_DEMAND), r#"{ ask = "http://localhost:4000/allowed" }"#;
    /// The name of the only issuer that signs for the site.
    "issuer": Text("a string"), r#""company""#;
    /// How the names are proved in DNS.
    "dns": AnyOf(&[Choice(&["persist"]), Table(DNS)]), r#"{ exec = "/etc/proxy/dns-hook" }"#;
    /// The operator's own certificate.
    "tls": Table(TLS_FILES), r#"{ cert = "cert.pem", key = "key.pem" }"#;
    /// Whether clients that name no host get this site's certificate.
    "default": Boolean, "true";
    /// The certificates that clients need.
    "client-auth": Table(CLIENT_AUTH), r#"{ ca = "clients-ca.pem" }"#;
    /// The oldest TLS version of clients.
    "min-tls": MIN_TLS, r#""1.3""#;
    /// Whether the access log has lines for this site.
    "access-log": Boolean, "false";
    /// Gives each request an id.
    "request-id": Boolean, "true";
    /// Compresses responses.
    "compress": COMPRESS, "true";
    /// Pages instead of the proxy's own error messages, by status.
    "error-pages": ERROR_PAGES, r#"{ 502 = "down.html" }"#;
    /// Answers everyone with 503.
    "maintenance": AnyOf(&[Boolean, Text("a page"), Table(MAINTENANCE)]), "true";
};

const ROUTE: &[Key] = keys! {
    /// The backends that answer.
    "upstream": UPSTREAM, r#""localhost:3000""#;
    /// How backends share the requests.
    "balance": BALANCE, r#""least-conn""#;
    /// Checks of the backends.
    "health": HEALTH, r#""/healthz""#;
    /// Options of this upstream, over those of the site.
    "upstream-options": Table(UPSTREAM_OPTIONS), r#"{ response-timeout = "5m" }"#;
    /// Redirects every request.
    "redirect": REDIRECT, r#""https://www.example.org""#;
    /// Answers every request with the same response.
    "respond": Table(RESPOND), "{ status = 410 }";
    /// Answers with the files of a folder.
    "files": FILES, r#""/srv/www""#;
    /// Removes the prefix for the backend or the folder.
    "strip-prefix": Boolean, "true";
    /// The path that the backend or the folder gets instead of the prefix.
    "rewrite": Text("a path"), r#""/v2""#;
    /// Changes of header fields on the way to the backend.
    "request-headers": Table(HEADERS), r#"{ remove = ["X-Debug"] }"#;
    /// Changes of header fields on the way to the client.
    "response-headers": Table(HEADERS), r#"{ remove = ["Server"] }"#;
};

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
    /// Whether what follows the prefix is appended.
    "append": Boolean, "false";
};

const RESPOND: &[Key] = keys! {
    /// The status of the response.
    "status": Number, "404";
    /// The body of the response.
    "body": Text("a string"), r#""Gone.""#;
    /// The type of the body.
    "content-type": Text("a string"), r#""text/plain; charset=utf-8""#;
};

const FILES: Kind = AnyOf(&[Text("a folder"), Table(FILES_KEYS)]);

const FILES_KEYS: &[Key] = keys! {
    /// The folder.
    required "root": Text("a folder"), r#""/srv/www""#;
    /// The file of the folder that is sent where no file exists.
    "fallback": Text("a path"), r#""index.html""#;
};

const HEADERS: &[Key] = keys! {
    /// The fields that are removed.
    "remove": List("header names", &Text("a string")), r#"["Server"]"#;
    /// The fields that get another value.
    "set": Map(&Text("a string")), r#"{ X-Frame-Options = "DENY" }"#;
    /// The fields that get one more value.
    "add": Map(&AnyOf(&[Text("a string"), List("strings", &Text("a string"))])), r#"{ Link = "</a.css>; rel=preload" }"#;
};

const BASIC_AUTH: &[Key] = keys! {
    /// The users with the hashes of their passwords.
    required "users": Map(&Text("a string")), r#"{ anna = "$argon2id$…" }"#;
    /// What browsers show.
    "realm": Text("a string"), r#""admin""#;
    /// Whether the backend sees name and password.
    "forward": Boolean, "false";
};

const FORWARD_AUTH: &[Key] = keys! {
    /// The URL that is asked.
    required "url": Text("a URL"), r#""http://localhost:9091/api/verify""#;
    /// The fields of its response that the backend gets.
    "copy-headers": List("headers", &Text("a string")), r#"["Remote-User"]"#;
    /// The time for its response.
    "timeout": Duration, r#""10s""#;
};

const RATE_LIMIT: &[Key] = keys! {
    /// The number of requests.
    required "requests": Number, "100";
    /// The time in which they are counted.
    required "per": Duration, r#""1s""#;
    /// The number of requests at once after a pause.
    "burst": Number, "300";
    /// Whether each client or the whole site is counted.
    "by": Choice(&["client", "site"]), r#""client""#;
};

const SITE_LIMITS: &[Key] = keys! {
    /// The size of a request's head.
    "head-size": Size, r#""16k""#;
    /// The number of header fields of a request.
    "head-fields": Number, "50";
};

const HSTS: &[Key] = keys! {
    /// How long browsers keep to https.
    required "max-age": Duration, r#""1y""#;
    /// Whether it applies to all names below.
    "include-subdomains": Boolean, "true";
    /// Whether the site may be in the browsers' preload lists.
    "preload": Boolean, "true";
};

const CLIENT_AUTH: &[Key] = keys! {
    /// The CAs of the clients, in PEM.
    required "ca": Text("a path"), r#""clients-ca.pem""#;
    /// Whether clients may have no certificate.
    "mode": Choice(&["required", "optional"]), r#""required""#;
};

/// The oldest TLS version of clients.
pub(crate) const MIN_TLS: Kind = Choice(&["1.2", "1.3"]);

/// Whether responses are compressed, or how.
pub(crate) const COMPRESS: Kind = AnyOf(&[Boolean, Table(COMPRESS_KEYS)]);

const COMPRESS_KEYS: &[Key] = keys! {
    /// The codings; between equals the first wins.
    "codings": List("codings", &Choice(&["zstd", "br", "gzip"])), r#"["zstd", "br", "gzip"]"#;
    /// The types of the bodies that are compressed.
    "types": List("content types", &Text("a string")), r#"["text/*"]"#;
    /// The size from which a body is compressed.
    "min-size": Size, r#""1k""#;
};

/// Pages by status.
pub(crate) const ERROR_PAGES: Kind = Map(&Text("a path"));

const MAINTENANCE: &[Key] = keys! {
    /// The page that is sent.
    "page": Text("a page"), r#""closed.html""#;
    /// The time after which clients may try again.
    "retry-after": Duration, r#""5m""#;
};
