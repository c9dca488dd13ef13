//! The keys about certificates: `[[issuers]]`, `[internal-ca]`, and those of a site.

use super::key::Kind::{self, AnyOf, Choice, Duration, List, Number, Table, Text};
use super::key::{Key, keys};

const PATH: Kind = Text("a path");

pub(crate) const ISSUER: &[Key] = keys! {
    /// The ACME directory: a built-in name or an https URL.
    required "directory": Text("a string"), r#""letsencrypt""#;
    /// The name by which sites select this CA.
    "name": Text("a string"), r#""company""#;
    /// A PEM file with an extra root certificate for the HTTPS of the CA.
    "root": PATH, r#""ca.pem""#;
    /// The contact for this CA.
    "email": Text("a string"), r#""pki@example.org""#;
    /// The credentials for a new account.
    "eab": Table(EAB), r#"{ key-id = "kid-1", hmac-key = "env:EAB_HMAC_KEY" }"#;
    /// The certificate profile to request.
    "profile": Text("a string"), r#""shortlived""#;
    /// The common name of the preferred root certificate.
    "preferred-chain": Text("a string"), r#""ISRG Root X1""#;
    /// The key type of the certificates.
    "key-type": Choice(&["p256", "p384", "rsa2048", "rsa4096"]), r#""p256""#;
    /// The challenges, in the order in which they are tried.
    "challenges": List("challenges", &Choice(&["http-01", "tls-alpn-01", "dns-01", "dns-persist-01"])), r#"["tls-alpn-01", "http-01"]"#;
    /// The staging directory, which tries an order first after failures.
    "staging": Text("a string"), r#""letsencrypt-staging""#;
};

const EAB: &[Key] = keys! {
    /// The key identifier from the CA.
    required "key-id": Text("a string"), r#""kid-1""#;
    /// The HMAC key in base64url, or a reference to it.
    required "hmac-key": Text("a string"), r#""env:EAB_HMAC_KEY""#;
};

pub(crate) const INTERNAL_CA: &[Key] = keys! {
    /// The domains and networks that the internal CA may sign for.
    "name-constraints": List("strings", &Text("a string")), r#"["home.arpa"]"#;
};

pub(crate) const ON_DEMAND: &[Key] = keys! {
    /// The URL that decides which names may have a certificate.
    required "ask": Text("a URL"), r#""http://localhost:4000/allowed""#;
    /// The number of new names per hour from one network.
    "names-per-network": Number, "20";
    /// The number of new names per hour.
    "names-per-hour": Number, "600";
};

pub(crate) const DNS: &[Key] = keys! {
    /// The command that sets and removes a record.
    "exec": PATH, r#""/etc/proxy/dns-hook""#;
    /// Sets records with dynamic updates (RFC 2136).
    "rfc2136": Table(RFC2136), r#"{ server = "ns1.example.org", key-name = "proxy", key = "env:TSIG_KEY" }"#;
    /// Sets records with the API of Cloudflare.
    "cloudflare": AnyOf(&[Text("a token"), Table(CLOUDFLARE)]), r#""env:CF_TOKEN""#;
    /// The name servers that must have the record.
    "name-servers": List("addresses", &Text("a string")), r#"["192.0.2.53"]"#;
    /// The time until the name servers must have the record.
    "propagation-timeout": Duration, r#""2m""#;
    /// Whether the CA is asked although the record was not seen in this time.
    "propagation": Choice(&["relaxed", "strict"]), r#""relaxed""#;
    /// The time to wait instead of looking for the record.
    "propagation-delay": Duration, r#""30s""#;
};

const RFC2136: &[Key] = keys! {
    /// The server that receives the updates.
    required "server": Text("a string"), r#""ns1.example.org""#;
    /// The name of the TSIG key.
    required "key-name": Text("a string"), r#""proxy""#;
    /// The TSIG key in base64, or a reference to it.
    required "key": Text("a string"), r#""env:TSIG_KEY""#;
    /// The algorithm of the TSIG key.
    "algorithm": Choice(&["hmac-sha256", "hmac-sha384", "hmac-sha512"]), r#""hmac-sha256""#;
};

const CLOUDFLARE: &[Key] = keys! {
    /// A token with the permissions Zone:Read and DNS:Edit, or a reference to it.
    required "token": Text("a string"), r#""env:CF_TOKEN""#;
    /// The URL of the API.
    "url": Text("a URL"), r#""https://api.cloudflare.com/client/v4""#;
};

pub(crate) const TLS_FILES: &[Key] = keys! {
    /// The certificate and its chain, in PEM.
    required "cert": PATH, r#""cert.pem""#;
    /// The private key, in PEM.
    required "key": PATH, r#""key.pem""#;
};
