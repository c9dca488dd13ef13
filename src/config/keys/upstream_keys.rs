//! The keys about upstreams: `[upstreams]`, an entry of `upstream`, and `health`.

use super::key::Kind::{self, AnyOf, Boolean, Choice, Duration, List, Number, Table, Text};
use super::key::{Key, keys};

/// An address, a list of addresses, or tables that say more about each.
pub(crate) const ADDRESSES: Kind =
    List("upstreams", &AnyOf(&[Text("an upstream"), Table(BACKEND)]));

const BACKEND: &[Key] = keys! {
    /// The address of the backend.
    required "address": Text("an upstream"), r#""localhost:3000""#;
    /// Its share of the requests.
    "weight": Number, "2";
    /// How many requests and tunnels it takes at once.
    "max-connections": Number, "50";
};

pub(crate) const UPSTREAM_OPTIONS: &[Key] = keys! {
    /// The time for a connection.
    "connect-timeout": Duration, r#""3s""#;
    /// The time for the head of a response.
    "response-timeout": Duration, r#""60s""#;
    /// How long a pooled connection may lie unused.
    "idle-timeout": Duration, r#""4s""#;
    /// The version of the PROXY header that begins each connection.
    "send-proxy": Choice(&["off", "v1", "v2"]), r#""off""#;
    /// How many requests and tunnels one backend takes at once.
    "max-connections": Number, "200";
    /// How many requests wait while all backends are full.
    "queue": Number, "100";
    /// How long each of them waits.
    "queue-timeout": Duration, r#""10s""#;
    /// How many failures in a row eject a backend; 0 means never.
    "max-fails": Number, "3";
    /// The length of the first ejection.
    "eject-time": Duration, r#""5s""#;
    /// The responses that count as failures.
    "eject-status": Text("a status"), r#""502-504""#;
    /// How long a backend that came back gets less than its share.
    "slow-start": Duration, r#""10s""#;
    /// How often one request is sent again to another backend.
    "retries": Number, "2";
    /// The share of all requests that may be sent again.
    "retry-budget": Text("a percentage"), r#""20%""#;
    /// The cookie of `balance = "cookie"`.
    "cookie-name": Text("a string"), r#""__Host-backend""#;
    /// The secret that signs the cookie, or where it is.
    "cookie-key": Text("a string"), r#""env:COOKIE_KEY""#;
    /// How TLS backends are verified, and which certificate they are shown.
    "tls": Table(UPSTREAM_TLS), r#"{ root = "backends-ca.pem" }"#;
};

const UPSTREAM_TLS: &[Key] = keys! {
    /// A PEM file with the roots to trust instead of the system's.
    "root": Text("a path"), r#""backends-ca.pem""#;
    /// The name to ask for and to verify.
    "sni": Text("a string"), r#""app.internal""#;
    /// The client certificate, in PEM.
    "cert": Text("a path"), r#""client.pem""#;
    /// The key of the client certificate, in PEM.
    "key": Text("a path"), r#""client.key""#;
    /// Accepts any certificate.
    "insecure": Boolean, "true";
};

/// A path, or a table that says more.
pub(crate) const HEALTH: Kind = AnyOf(&[Text("a path"), Table(HEALTH_KEYS)]);

const HEALTH_KEYS: &[Key] = keys! {
    /// The path that is asked for.
    required "path": Text("a path"), r#""/healthz""#;
    /// The status of a good check.
    "expect": Text("a status"), r#""200-399""#;
    /// The time from the end of one check to the start of the next.
    "interval": Duration, r#""5s""#;
    /// The time for one check.
    "timeout": Duration, r#""2s""#;
    /// How many good checks in a row bring a backend back.
    "rise": Number, "2";
    /// How many bad checks in a row take it out.
    "fall": Number, "3";
    /// The Host that is asked for.
    "host": Text("a host"), r#""app.example.org""#;
};
