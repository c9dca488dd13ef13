//! One word for each reason why the proxy answers itself or ends a connection, for what machines read.

use http::{StatusCode, Version};

use crate::upstream::BodyError;

/// The closed set of reasons, each with its word.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Why a request is answered by the proxy itself, or a connection is refused or cut.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All of them, in their order.
            pub(in crate::proxy) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason in one word, which stays the same from version to version.
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
    /// A transfer coding other than a single `chunked`.
    TransferEncoding = "transfer-encoding",
    /// A length that is no single number.
    ContentLength = "content-length",
    /// A malformed target.
    Target = "target",
    /// A CONNECT for a tunnel.
    Connect = "connect",
    /// More fields than a head may have.
    TooManyFields = "too-many-fields",
    /// More bytes than a head may have.
    HeadTooLarge = "head-too-large",
    /// A target that is longer than can be read.
    TargetTooLong = "target-too-long",
    /// A head that its client has not sent to its end.
    HeadCut = "head-cut",
    /// A head that cannot be read.
    Malformed = "malformed",
    /// No single valid host.
    Host = "host",
    /// A host that no site has.
    UnknownHost = "unknown-host",
    /// A host that is not served on the connection.
    Misdirected = "misdirected",
    /// A path that has no route.
    NoRoute = "no-route",
    /// A path that two routes can claim.
    AmbiguousPath = "ambiguous-path",
    /// A method that is none for files.
    FileMethod = "file-method",
    /// A path that has no file.
    NoFile = "no-file",
    /// A file that cannot be read.
    FileBroken = "file-broken",
    /// A method that is none for challenges.
    Method = "method",
    /// A challenge that is not under way.
    UnknownChallenge = "unknown-challenge",
    /// A site that is closed for a while.
    Maintenance = "maintenance",
    /// A client whose network is kept out.
    Network = "network",
    /// Requests that come too often.
    RateLimit = "rate-limit",
    /// No valid name with its password.
    Unauthorized = "unauthorized",
    /// More passwords than can be verified.
    PasswordsBusy = "passwords-busy",
    /// The server that decides about requests has failed.
    ForwardAuth = "forward-auth",
    /// The server that decides about requests has decided against it.
    ForwardAuthRefused = "forward-auth-refused",
    /// A body that is too large.
    BodySize = "body-size",
    /// A request that took too long.
    RequestTimeout = "request-timeout",
    /// A body that has stopped to come.
    RequestStalled = "request-stalled",
    /// A body that cannot be read.
    RequestBroken = "request-broken",
    /// An upstream without a backend.
    NoBackend = "no-backend",
    /// An upstream whose backends are all down.
    NoHealthyBackend = "no-healthy-backend",
    /// Backends that are busy, and a queue that is full.
    QueueFull = "queue-full",
    /// Backends that were busy for too long.
    QueueTimeout = "queue-timeout",
    /// No connection to a backend can be opened.
    NoPlace = "no-place",
    /// A backend whose name has no address.
    BackendUnresolved = "backend-unresolved",
    /// A backend that lets nobody connect.
    BackendUnreachable = "backend-unreachable",
    /// An upstream that leads back to the proxy itself.
    Loop = "loop",
    /// A backend that took too long to let a connection in.
    BackendConnectTimeout = "backend-connect-timeout",
    /// A backend whose certificate is not believed.
    BackendCertificate = "backend-certificate",
    /// A backend that makes no connection of its protocol.
    BackendHandshake = "backend-handshake",
    /// A backend that cannot switch to WebSocket.
    BackendNoUpgrade = "backend-no-upgrade",
    /// A backend that did not take the request.
    BackendRefused = "backend-refused",
    /// A backend that gave the request up.
    BackendReset = "backend-reset",
    /// A backend that took too long to answer.
    BackendTimeout = "backend-timeout",
    /// A backend whose connection ended before its answer.
    BackendBroken = "backend-broken",
    /// An answer whose head is too large.
    ResponseHeadTooLarge = "response-head-too-large",
    /// An answer that its backend has not sent to its end.
    ResponseBroken = "response-broken",
    /// An answer of no certain length.
    ResponseFraming = "response-framing",
    /// A backend that did not switch to WebSocket.
    NoWebSocket = "no-websocket",
    /// A backend that switched to what nobody had asked for.
    UnaskedUpgrade = "unasked-upgrade",
    /// A client that has as many connections as it may.
    ConnectionsPerClient = "connections-per-client",
    /// A peer that is not trusted where only trusted ones are let in.
    UntrustedPeer = "untrusted-peer",
    /// No PROXY header where each connection begins with one.
    ProxyHeaderMissing = "proxy-header-missing",
    /// A PROXY header that cannot be read.
    ProxyHeaderMalformed = "proxy-header-malformed",
    /// A connection that ended within its PROXY header.
    ProxyHeaderCut = "proxy-header-cut",
    /// A PROXY header that did not come in time.
    ProxyHeaderTimeout = "proxy-header-timeout",
    /// Plain HTTP at the HTTPS listener.
    PlainHttp = "plain-http",
    /// A TLS handshake that was not finished in time.
    HandshakeTimeout = "handshake-timeout",
    /// A client that left during its TLS handshake.
    HandshakeLeft = "handshake-left",
    /// A client that gave its TLS handshake up, as when it does not trust the certificate.
    HandshakeAlert = "handshake-alert",
    /// What is no TLS handshake, or none that can be made.
    HandshakeBroken = "handshake-broken",
    /// No client certificate that is believed, where one is required.
    ClientCertificate = "client-certificate",
    /// No host in the TLS handshake, and no default site.
    NoName = "no-name",
    /// A host in the TLS handshake that is no host name.
    BadName = "bad-name",
    /// A host that there is no certificate for.
    NoCertificate = "no-certificate",
    /// A look for a tls-alpn-01 challenge that is not under way.
    NoChallenge = "no-challenge",
    /// A tls-alpn-01 challenge that could not be shown.
    ChallengeBroken = "challenge-broken",
    /// A request's head that did not come in time.
    HeadTimeout = "head-timeout",
    /// A client that did not take what was sent to it.
    Stalled = "stalled",
    /// An idle client that did not take the end of its connection.
    Idle = "idle",
    /// Frames of HTTP/2 that cost more than they are worth.
    Http2Flood = "http2-flood",
    /// Frames of HTTP/2 that break its rules.
    Http2Protocol = "http2-protocol",
}

impl Reason {
    /// Why an answer does not come to its end.
    #[must_use]
    pub fn of_body(error: &BodyError) -> Self {
        match error {
            BodyError::Overdue => Self::RequestTimeout,
            _ => Self::ResponseBroken,
        }
    }
}

/// How a request was refused that could not be read, so that no service has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectedEarly {
    /// Version of HTTP on the connection.
    pub version: Version,
    /// The answer, or what it would have been.
    pub status: StatusCode,
    /// The reason.
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
