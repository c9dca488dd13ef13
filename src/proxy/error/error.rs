//! Why a request is answered by the proxy itself.

use std::io;

use super::guard_refusal::GuardRefusal;
use super::reason::Reason;
use crate::upstream;
use crate::upstream::Address;

/// What kept a request from getting its backend's response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A transfer coding other than a single `chunked`, which leaves the body's end in doubt.
    #[error("the request has a transfer coding other than chunked")]
    TransferEncoding,
    /// A length that is no number, or several.
    #[error("the request has a Content-Length that is no single number")]
    ContentLength,
    /// Neither a path nor a form of target that is served.
    #[error("the request's target is malformed")]
    Target,
    /// A tunnel to an address of the client's choice.
    #[error("the request is a CONNECT")]
    Connect,
    /// More fields than the limit.
    #[error("the request has too many header fields")]
    TooManyFields,
    /// More bytes than the limit.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// None, several, or one that is no host name.
    #[error("the request has no single valid host")]
    Host,
    /// No site has the host.
    #[error("the request is for an unknown host")]
    UnknownHost,
    /// The site has no route for the path.
    #[error("the request's path has no route")]
    NoRoute,
    /// The path can be read as one of another route.
    #[error("the request's path can be read in two ways, which belong to two routes")]
    AmbiguousPath,
    /// A folder's files are only there to be got.
    #[error("the request's method is none for files")]
    FileMethod,
    /// The folder has no such file, or none that may be seen.
    #[error("the request's path has no file")]
    NoFile,
    /// The file is there and cannot be read.
    #[error("a file could not be read")]
    File(#[source] io::Error),
    /// The host belongs to another site than the name of the TLS handshake.
    #[error("the request's host is not served on this connection")]
    Misdirected,
    /// A guard of the site does not let the request through.
    #[error(transparent)]
    Guard(#[from] GuardRefusal),
    /// The site is closed for a while.
    #[error("the site is under maintenance")]
    Maintenance,
    /// The upstream brought no response.
    #[error("the upstream gave no response")]
    Upstream(#[from] upstream::Error),
    /// A response whose body has no certain end or coding.
    #[error("the backend's response has a transfer coding other than chunked")]
    ResponseFraming,
    /// The backend has not accepted the WebSocket handshake that was made for an HTTP/2 client.
    #[error("the backend did not switch to WebSocket")]
    NoWebSocket,
    /// The backend switched protocols though nobody had asked for that one.
    #[error("the backend switched to a protocol that was not asked for")]
    UnaskedUpgrade,
}

impl Error {
    /// The reason that is noted and counted.
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
            Self::Misdirected => Reason::Misdirected,
            Self::NoRoute => Reason::NoRoute,
            Self::AmbiguousPath => Reason::AmbiguousPath,
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

    /// The backend that the request failed at.
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
        upstream::Error::ConnectionLimit => Reason::NoPlace,
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
        upstream::Error::ResponseHeadTooLarge { .. } => Reason::ResponseHeadTooLarge,
        upstream::Error::Exchange { .. } => Reason::BackendBroken,
        upstream::Error::RequestStalled => Reason::RequestStalled,
        upstream::Error::RequestTooLarge => Reason::BodySize,
        upstream::Error::RequestBroken(_) => Reason::RequestBroken,
    }
}
