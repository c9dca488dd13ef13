//! One word for each reason why the proxy answers itself, for logs that machines read.

use super::error::Error;
use crate::upstream::{self, Address};

impl Error {
    /// The reason in one word, which stays the same from version to version.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TransferEncoding => "transfer-encoding",
            Self::ContentLength => "content-length",
            Self::Target => "target",
            Self::Connect => "connect",
            Self::TooManyFields => "too-many-fields",
            Self::HeadTooLarge => "head-too-large",
            Self::Host => "host",
            Self::UnknownHost => "unknown-host",
            Self::Misdirected => "misdirected",
            Self::NoRoute => "no-route",
            Self::AmbiguousPath => "ambiguous-path",
            Self::FileMethod => "file-method",
            Self::NoFile => "no-file",
            Self::File(_) => "file-broken",
            Self::Guard(refusal) => refusal.reason(),
            Self::Maintenance => "maintenance",
            Self::Upstream(error) => upstream_reason(error),
            Self::ResponseFraming => "response-framing",
            Self::NoWebSocket => "no-web-socket",
            Self::UnaskedUpgrade => "unasked-upgrade",
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

fn upstream_reason(error: &upstream::Error) -> &'static str {
    match error {
        upstream::Error::NoBackend => "no-backend",
        upstream::Error::NoHealthyBackend => "no-healthy-backend",
        upstream::Error::QueueFull => "queue-full",
        upstream::Error::QueueTimeout => "queue-timeout",
        upstream::Error::NoPlace => "no-place",
        upstream::Error::Resolve { .. } => "backend-unresolved",
        upstream::Error::Connect { .. } => "backend-unreachable",
        upstream::Error::Loop { .. } => "loop",
        upstream::Error::ConnectTimeout { .. } => "backend-connect-timeout",
        upstream::Error::Certificate { .. } => "backend-certificate",
        upstream::Error::Handshake { .. } => "backend-handshake",
        upstream::Error::NoUpgrade { .. } => "backend-no-upgrade",
        upstream::Error::Refused { .. } => "backend-refused",
        upstream::Error::Reset { .. } => "backend-reset",
        upstream::Error::ResponseTimeout { .. } => "backend-timeout",
        upstream::Error::ResponseHeadTooLarge { .. } => "response-head-too-large",
        upstream::Error::Exchange { .. } => "backend-broken",
        upstream::Error::RequestStalled => "request-stalled",
        upstream::Error::RequestTooLarge => "body-size",
        upstream::Error::RequestBroken(_) => "request-broken",
    }
}
