//! The error of a request that the proxy answers itself. Knows no page texts and no counters.

use std::io;

use super::guard_refusal::GuardRefusal;
use super::reason::Reason;
use crate::upstream;
use crate::upstream::Address;

/// Reason why a request did not get its backend's response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Has a transfer coding other than a single `chunked`, so that the end of the body is uncertain.
    #[error("the request has a transfer coding other than chunked")]
    TransferEncoding,
    /// Has several Content-Length fields, or one that is not a number.
    #[error("the request's Content-Length is not a single number")]
    ContentLength,
    /// Has a target that is neither a path nor an absolute URL.
    #[error("the request's target is malformed")]
    Target,
    /// Asks for a tunnel to an address of the client's choice.
    #[error("the request is a CONNECT")]
    Connect,
    /// Has more header fields than the limit.
    #[error("the request has too many header fields")]
    TooManyFields,
    /// Has a head of more bytes than the limit.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// Has no host, several hosts, or an invalid one.
    #[error("the request does not name exactly one valid host")]
    Host,
    /// Names a host that no site serves.
    #[error("the request is for an unknown host")]
    UnknownHost,
    /// Names a host that is served on other listeners only.
    #[error("the request is for a host that other listeners serve")]
    OtherListener,
    /// Has a path for which the site has no route.
    #[error("no route matches the request's path")]
    NoRoute,
    /// Has a path that a backend could read as the path of another route.
    #[error("the request's path is ambiguous: two routes could claim it")]
    AmbiguousPath,
    /// Has a Destination (WebDAV) that is malformed, or that another route serves.
    #[error("the request's Destination is malformed or belongs to another route")]
    Destination,
    /// Has a method other than GET and HEAD for a file.
    #[error("the request's method is not allowed for files")]
    FileMethod,
    /// Names a file that the folder does not have or must not show.
    #[error("no file matches the request's path")]
    NoFile,
    /// The file exists but cannot be read.
    #[error("a file could not be read")]
    File(#[source] io::Error),
    /// Names a host of another site than the server name of the TLS handshake.
    #[error("the request's host is not served on this connection")]
    Misdirected,
    /// A guard of the site refused the request.
    #[error(transparent)]
    Guard(#[from] GuardRefusal),
    /// The site is in maintenance mode.
    #[error("the site is under maintenance")]
    Maintenance,
    /// The upstream gave no response.
    #[error("the upstream gave no response")]
    Upstream(#[from] upstream::Error),
    /// The response has a transfer coding other than a single `chunked`, so that the end of its body is uncertain.
    #[error("the backend's response has a transfer coding other than chunked")]
    ResponseFraming,
    /// The backend did not accept the WebSocket handshake that the proxy made for an HTTP/2 client.
    #[error("the backend did not switch to WebSocket")]
    NoWebSocket,
    /// The backend switched to a protocol that the client had not asked for.
    #[error("the backend switched to a protocol that the client had not asked for")]
    UnaskedUpgrade,
}

impl Error {
    /// Reason for counters and the access log.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::TransferEncoding => Reason::TransferEncoding,
            Self::ContentLength => Reason::ContentLength,
            Self::Target => Reason::Target,
            Self::Connect => Reason::Connect,
            Self::TooManyFields => Reason::TooManyFields,
            Self::HeadTooLarge => Reason::HeadTooLarge,
            Self::Host => Reason::Host,
            Self::UnknownHost => Reason::UnknownHost,
            Self::OtherListener => Reason::OtherListener,
            Self::Misdirected => Reason::Misdirected,
            Self::NoRoute => Reason::NoRoute,
            Self::AmbiguousPath => Reason::AmbiguousPath,
            Self::Destination => Reason::Destination,
            Self::FileMethod => Reason::FileMethod,
            Self::NoFile => Reason::NoFile,
            Self::File(_) => Reason::FileBroken,
            Self::Guard(refusal) => refusal.reason(),
            Self::Maintenance => Reason::Maintenance,
            Self::Upstream(error) => upstream_reason(error),
            Self::ResponseFraming => Reason::ResponseFraming,
            Self::NoWebSocket => Reason::NoWebSocket,
            Self::UnaskedUpgrade => Reason::UnaskedUpgrade,
        }
    }

    /// Backend at which the request failed, if it got that far.
    #[must_use]
    pub fn backend(&self) -> Option<&Address> {
        match self {
            Self::Upstream(
                upstream::Error::Resolve { backend, .. }
                | upstream::Error::Connect { backend, .. }
                | upstream::Error::Loop { backend }
                | upstream::Error::ConnectTimeout { backend }
                | upstream::Error::Certificate { backend, .. }
                | upstream::Error::Handshake { backend, .. }
                | upstream::Error::NoUpgrade { backend }
                | upstream::Error::Refused { backend, .. }
                | upstream::Error::Reset { backend, .. }
                | upstream::Error::ResponseTimeout { backend }
                | upstream::Error::EarlySwitch { backend }
                | upstream::Error::NoAnswer { backend }
                | upstream::Error::TlsPort { backend }
                | upstream::Error::ResponseFraming { backend }
                | upstream::Error::ResponseHeadTooLarge { backend }
                | upstream::Error::Exchange { backend, .. },
            ) => Some(backend),
            _ => None,
        }
    }
}

fn upstream_reason(error: &upstream::Error) -> Reason {
    match error {
        upstream::Error::NoBackend => Reason::NoBackend,
        upstream::Error::NoHealthyBackend => Reason::NoHealthyBackend,
        upstream::Error::QueueFull => Reason::QueueFull,
        upstream::Error::QueueTimeout => Reason::QueueTimeout,
        upstream::Error::BufferFull => Reason::BufferFull,
        upstream::Error::ConnectionLimit | upstream::Error::ClientShare => Reason::NoPlace,
        upstream::Error::Resolve { .. } => Reason::BackendUnresolved,
        upstream::Error::Connect { .. } => Reason::BackendUnreachable,
        upstream::Error::Loop { .. } => Reason::Loop,
        upstream::Error::ConnectTimeout { .. } => Reason::BackendConnectTimeout,
        upstream::Error::Certificate { .. } => Reason::BackendCertificate,
        upstream::Error::Handshake { .. } => Reason::BackendHandshake,
        upstream::Error::NoUpgrade { .. } => Reason::BackendNoUpgrade,
        upstream::Error::Refused { .. } => Reason::BackendRefused,
        upstream::Error::Reset { .. } => Reason::BackendReset,
        upstream::Error::ResponseTimeout { .. } => Reason::BackendTimeout,
        upstream::Error::ResponseFraming { .. } => Reason::ResponseFraming,
        upstream::Error::ResponseHeadTooLarge { .. } => Reason::ResponseHeadTooLarge,
        upstream::Error::EarlySwitch { .. }
        | upstream::Error::NoAnswer { .. }
        | upstream::Error::TlsPort { .. }
        | upstream::Error::Exchange { .. } => Reason::BackendBroken,
        upstream::Error::RequestStalled => Reason::RequestStalled,
        upstream::Error::RequestTooLarge => Reason::BodySize,
        upstream::Error::RequestBroken(_) => Reason::RequestBroken,
    }
}
