//! The keys about upstreams: `[upstreams]`, an entry of `upstream`, and `health`.

use super::key::Kind::{self, AnyOf, Boolean, Choice, Duration, List, Number, Size, Table, Text};
use super::key::{Key, keys};

/// A list of addresses or tables.
pub(crate) const ADDRESSES: Kind =
    List("upstreams", &AnyOf(&[Text("an upstream"), Table(BACKEND)]));

const BACKEND: &[Key] = keys! {
    /// The address of the backend.
    required "address": Text("an upstream"), r#""localhost:3000""#;
    /// Its share of the requests.
    "weight": Number, "2";
    /// The maximum number of requests and tunnels at once.
    "max-connections": Number, "50";
};

pub(crate) const UPSTREAM_OPTIONS: &[Key] = keys! {
    /// The time to open a connection.
    "connect-timeout": Duration, r#""3s""#;
    /// The time for the head of a response.
    "response-timeout": Duration, r#""60s""#;
    /// The time that an idle connection stays in the pool.
    "idle-timeout": Duration, r#""4s""#;
    /// The maximum size of a body without a length that is buffered, so that the backend gets its length.
    "buffer-requests": Size, r#""10m""#;
    /// The host that a backend sees: that of the client's request, that of its own address, or a name.
    "host": AnyOf(&[Choice(&["client", "upstream"]), Text("a host")]), r#""upstream""#;
    /// The version of HTTP that `https://` backends are offered.
    "http-version": Choice(&["any", "1.1"]), r#""any""#;
    /// The case of header names over HTTP/1.1.
    "header-case": Choice(&["lower", "title"]), r#""lower""#;
    /// The version of the PROXY header at the start of each connection.
    "send-proxy": Choice(&["off", "v1", "v2"]), r#""off""#;
    /// The maximum number of requests and tunnels at once for one backend.
    "max-connections": Number, "200";
    /// The maximum number of requests that wait while all backends are full.
    "queue": Number, "100";
    /// The maximum time that a request waits in the queue.
    "queue-timeout": Duration, r#""10s""#;
    /// The number of consecutive failures that eject a backend. 0 means never.
    "max-fails": Number, "3";
    /// The length of the first ejection.
    "eject-time": Duration, r#""5s""#;
    /// The response statuses that count as failures.
    "eject-status": Text("a status"), r#""502-504""#;
    /// The time in which a recovered backend gets less than its share.
    "slow-start": Duration, r#""10s""#;
    /// The maximum number of retries of one request.
    "retries": Number, "2";
    /// The maximum share of requests that are retried.
    "retry-budget": Text("a percentage"), r#""20%""#;
    /// The name of the cookie of `balance = "cookie"`.
    "cookie-name": Text("a string"), r#""__Host-backend""#;
    /// The secret that signs the cookie, or a reference to it.
    "cookie-key": Text("a string"), r#""env:COOKIE_KEY""#;
    /// TLS settings for backends: verification and client certificate.
    "tls": Table(UPSTREAM_TLS), r#"{ root = "backends-ca.pem" }"#;
};

const UPSTREAM_TLS: &[Key] = keys! {
    /// A PEM file with the roots to trust instead of those of the system.
    "root": Text("a path"), r#""backends-ca.pem""#;
    /// The server name to send and to verify. `{host}` is the host of the client's request.
    "sni": Text("a string"), r#""app.internal""#;
    /// The client certificate, in PEM.
    "cert": Text("a path"), r#""client.pem""#;
    /// The key of the client certificate, in PEM.
    "key": Text("a path"), r#""client.key""#;
    /// Accepts any certificate of a backend.
    "insecure": Boolean, "true";
};

/// Kind of `health`.
pub(crate) const HEALTH: Kind = AnyOf(&[Text("a path"), Table(HEALTH_KEYS)]);

const HEALTH_KEYS: &[Key] = keys! {
    /// The path to request.
    required "path": Text("a path"), r#""/healthz""#;
    /// The response statuses of a successful check.
    "expect": Text("a status"), r#""200-399""#;
    /// The time from the end of one check to the start of the next.
    "interval": Duration, r#""5s""#;
    /// The time for one check.
    "timeout": Duration, r#""2s""#;
    /// The number of consecutive successes after which a backend is up.
    "rise": Number, "2";
    /// The number of consecutive failures after which a backend is down.
    "fall": Number, "3";
    /// The Host header of the check.
    "host": Text("a host"), r#""app.example.org""#;
};
