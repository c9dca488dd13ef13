//! Machine-readable word for each reason why the proxy answers a request itself or ends a connection.

use http::{StatusCode, Version};

use crate::upstream::BodyError;

/// Defines the closed set of reasons, each with its word.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Reason why the proxy answers a request itself, or refuses or cuts a connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All reasons in the order of their declaration.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason as one word, which does not change between versions.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// The request has a transfer coding other than a single `chunked`.
    TransferEncoding = "transfer-encoding",
    /// The request's Content-Length is not a single number.
    ContentLength = "content-length",
    /// The request's target is malformed.
    Target = "target",
    /// The request is a CONNECT.
    Connect = "connect",
    /// The request has more header fields than the limit.
    TooManyFields = "too-many-fields",
    /// The request's head has more bytes than the limit.
    HeadTooLarge = "head-too-large",
    /// The request's target is too long to be read.
    TargetTooLong = "target-too-long",
    /// The client left before its request's head was complete.
    HeadCut = "head-cut",
    /// The request's head cannot be parsed.
    Malformed = "malformed",
    /// The request does not name exactly one valid host.
    Host = "host",
    /// No site serves the request's host.
    UnknownHost = "unknown-host",
    /// The host in the request or in the TLS handshake is served on other listeners only.
    OtherListener = "other-listener",
    /// The request's host is not served on this connection.
    Misdirected = "misdirected",
    /// No route matches the request's path.
    NoRoute = "no-route",
    /// Two routes could claim the request's path.
    AmbiguousPath = "ambiguous-path",
    /// The request's Destination is malformed, or belongs to another route.
    Destination = "destination",
    /// The request's method is not allowed for files.
    FileMethod = "file-method",
    /// No file matches the request's path.
    NoFile = "no-file",
    /// A file could not be read.
    FileBroken = "file-broken",
    /// The request's method is not allowed for an http-01 challenge.
    Method = "method",
    /// The request asks for an http-01 challenge that is not in progress.
    UnknownChallenge = "unknown-challenge",
    /// The site is in maintenance mode.
    Maintenance = "maintenance",
    /// The client's network is not allowed.
    Network = "network",
    /// The request's path requires a client certificate, and the client presented none.
    NoClientCertificate = "no-client-certificate",
    /// Requests exceed a rate limit.
    RateLimit = "rate-limit",
    /// The request has no valid user name and password.
    Unauthorized = "unauthorized",
    /// Too many passwords wait to be verified.
    PasswordsBusy = "passwords-busy",
    /// The forward-auth server failed.
    ForwardAuth = "forward-auth",
    /// The forward-auth server refused the request.
    ForwardAuthRefused = "forward-auth-refused",
    /// The request's body exceeds the limit.
    BodySize = "body-size",
    /// The request took longer than its limit.
    RequestTimeout = "request-timeout",
    /// The request's body made no progress for too long.
    RequestStalled = "request-stalled",
    /// The request's body broke off or is malformed.
    RequestBroken = "request-broken",
    /// The upstream has no backend.
    NoBackend = "no-backend",
    /// All backends of the upstream are down.
    NoHealthyBackend = "no-healthy-backend",
    /// All backends are busy, and the queue is full.
    QueueFull = "queue-full",
    /// The request waited in the queue for too long.
    QueueTimeout = "queue-timeout",
    /// The memory for buffered bodies is full.
    BufferFull = "buffer-full",
    /// All backends have as many connections as they may.
    NoPlace = "no-place",
    /// The backend's name could not be resolved.
    BackendUnresolved = "backend-unresolved",
    /// The backend could not be connected to.
    BackendUnreachable = "backend-unreachable",
    /// The backend's address leads back to the proxy itself.
    Loop = "loop",
    /// The backend did not accept a connection in time.
    BackendConnectTimeout = "backend-connect-timeout",
    /// The backend's certificate is not trusted.
    BackendCertificate = "backend-certificate",
    /// The handshake with the backend failed.
    BackendHandshake = "backend-handshake",
    /// The backend's protocol cannot be upgraded to WebSocket.
    BackendNoUpgrade = "backend-no-upgrade",
    /// The backend refused the request's stream.
    BackendRefused = "backend-refused",
    /// The backend reset the request's stream.
    BackendReset = "backend-reset",
    /// The backend did not respond in time.
    BackendTimeout = "backend-timeout",
    /// The backend's connection ended before its response.
    BackendBroken = "backend-broken",
    /// The response's head exceeds the limit.
    ResponseHeadTooLarge = "response-head-too-large",
    /// The response's body broke off.
    ResponseBroken = "response-broken",
    /// The response has a transfer coding other than a single `chunked`.
    ResponseFraming = "response-framing",
    /// The backend did not switch to WebSocket.
    NoWebSocket = "no-websocket",
    /// The backend switched to a protocol that the client had not asked for.
    UnaskedUpgrade = "unasked-upgrade",
    /// The client has as many connections as it may.
    ConnectionsPerClient = "connections-per-client",
    /// The peer is not among the trusted ones, and only those may connect.
    UntrustedPeer = "untrusted-peer",
    /// The PROXY header that must begin each connection is missing.
    ProxyHeaderMissing = "proxy-header-missing",
    /// The PROXY header cannot be parsed.
    ProxyHeaderMalformed = "proxy-header-malformed",
    /// The connection ended within its PROXY header.
    ProxyHeaderCut = "proxy-header-cut",
    /// The PROXY header did not arrive in time.
    ProxyHeaderTimeout = "proxy-header-timeout",
    /// The client spoke plain HTTP to the HTTPS listener.
    PlainHttp = "plain-http",
    /// The TLS handshake did not finish in time.
    HandshakeTimeout = "handshake-timeout",
    /// The client left during its TLS handshake.
    HandshakeLeft = "handshake-left",
    /// The client aborted its TLS handshake with an alert, for example because it does not trust the certificate.
    HandshakeAlert = "handshake-alert",
    /// The TLS handshake is malformed, or has no version or cipher suite that the proxy supports.
    HandshakeBroken = "handshake-broken",
    /// The client showed no trusted certificate, and the site requires one.
    ClientCertificate = "client-certificate",
    /// The TLS handshake names no host, and there is no default site.
    NoName = "no-name",
    /// The TLS handshake names an invalid host.
    BadName = "bad-name",
    /// There is no certificate for the host.
    NoCertificate = "no-certificate",
    /// The handshake asks for a tls-alpn-01 challenge that is not in progress.
    NoChallenge = "no-challenge",
    /// The handshake of a tls-alpn-01 challenge failed.
    ChallengeBroken = "challenge-broken",
    /// The request's head did not arrive in time.
    HeadTimeout = "head-timeout",
    /// The client stopped reading.
    Stalled = "stalled",
    /// The client's HTTP/2 and HTTP/3 streams hold as much memory as they may.
    StreamMemory = "stream-memory",
    /// The client was idle and did not complete the close of its connection.
    Idle = "idle",
    /// The client sent a flood of HTTP/2 frames that carry no requests.
    Http2Flood = "http2-flood",
    /// The client broke the rules of HTTP/2.
    Http2Protocol = "http2-protocol",
    /// As many connections are open as may be, and QUIC cannot wait.
    Connections = "connections",
    /// Too many QUIC handshakes run.
    HandshakeFlood = "handshake-flood",
    /// The client sent a flood of HTTP/3 streams or frames that carry no requests.
    Http3Flood = "http3-flood",
    /// The client broke the rules of QUIC or HTTP/3.
    Http3Protocol = "http3-protocol",
}

impl Reason {
    /// Reason why a response's body broke off.
    #[must_use]
    pub fn of_body(error: &BodyError) -> Self {
        match error {
            BodyError::Overdue => Self::RequestTimeout,
            _ => Self::ResponseBroken,
        }
    }
}

/// Refusal of a request that could not be parsed and so never reached a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectedEarly {
    /// HTTP version of the connection.
    pub version: Version,
    /// Status of the response. Where none could be sent, the one that fits the reason.
    pub status: StatusCode,
    /// Reason for counters and the access log.
    pub reason: Reason,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        assert!(words.contains("no-websocket"), "one word, as in its RFC");
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        for word in words {
            assert!(word.chars().all(is_plain), "{word}");
        }
    }
}
