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
    /// The upstream brought no response.
    #[error("the upstream gave no response")]
    Upstream(#[from] upstream::Error),
    /// A response whose body has no certain end or coding.
    #[error("the backend's response has a transfer coding other than chunked")]
    ResponseFraming,
    /// The backend switched protocols though nobody had asked for that one.
    #[error("the backend switched to a protocol that was not asked for")]
    UnaskedUpgrade,
}

impl Error {
    /// The reason in a word, for the access log and for counters.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TransferEncoding => "transfer-encoding",
            Self::ContentLength => "content-length",
            Self::Target => "target",
            Self::Connect => "connect",
            Self::TooManyFields => "head-fields",
            Self::HeadTooLarge => "head-size",
            Self::Host => "host",
            Self::UnknownHost => "unknown-host",
            Self::Misdirected => "misdirected",
            Self::NoRoute => "no-route",
            Self::AmbiguousPath => "ambiguous-path",
            Self::FileMethod => "file-method",
            Self::NoFile => "no-file",
            Self::File(_) => "file",
            Self::Guard(refusal) => refusal.reason(),
            Self::Upstream(error) => upstream_reason(error),
            Self::ResponseFraming => "response-framing",
            Self::UnaskedUpgrade => "unasked-upgrade",
        }
    }
}

fn upstream_reason(error: &upstream::Error) -> &'static str {
    match error {
        upstream::Error::NoBackend => "no-backend",
        upstream::Error::NoPlace => "no-place",
        upstream::Error::Resolve { .. } => "resolve",
        upstream::Error::Connect { .. } => "connect-failed",
        upstream::Error::ConnectTimeout { .. } => "connect-timeout",
        upstream::Error::ResponseTimeout { .. } => "response-timeout",
        upstream::Error::Exchange { .. } => "exchange",
        upstream::Error::RequestStalled => "body-timeout",
        upstream::Error::RequestTooLarge => "body-size",
        upstream::Error::RequestBroken(_) => "body-broken",
    }
}
