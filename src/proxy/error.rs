//! Why a request is answered by the proxy itself.

use std::io;

use super::guards::Refusal;
use crate::upstream;

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
    Guard(#[from] Refusal),
    /// The site is closed for a while.
    #[error("the site is under maintenance")]
    Maintenance,
    /// The upstream brought no response.
    #[error("the upstream gave no response")]
    Upstream(#[from] upstream::Error),
    /// A response whose body has no certain end or coding.
    #[error("the backend's response has a transfer coding other than chunked")]
    ResponseFraming,
    /// The backend has not taken the handshake that an HTTP/2 client's wish for a WebSocket was made.
    #[error("the backend did not switch to WebSocket")]
    NoWebSocket,
    /// The backend switched protocols though nobody had asked for that one.
    #[error("the backend switched to a protocol that was not asked for")]
    UnaskedUpgrade,
}
