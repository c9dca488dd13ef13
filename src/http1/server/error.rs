//! Reasons why the connection of a client ended.

use std::io;

use http::StatusCode;

use crate::http1::error::Error;

/// Failures of a connection. `E` is the error type of the bodies of responses.
#[derive(Debug, thiserror::Error)]
pub enum ServerError<E> {
    /// A read or a write failed.
    #[error("the connection broke off")]
    Io(#[source] io::Error),
    /// The client closed the connection in the middle of a head.
    #[error("the client closed the connection in the middle of a request head")]
    CutHead,
    /// The client closed the connection while it was being answered.
    #[error("the client closed the connection before it had the whole response")]
    Left,
    /// The client began with the preface of HTTP/2.
    #[error("the client speaks HTTP/2")]
    Http2,
    /// A request was refused before the service got it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The body of a response failed, so that the response can never be complete.
    #[error("the response body failed")]
    Body(#[source] E),
    /// The body of a response is not what its head says.
    #[error(transparent)]
    Response(Error),
}

/// Reasons why a request is refused before the service gets it. The client gets a response without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The head is not valid, or its framing is ambiguous.
    #[error("the head of the request is not valid HTTP/1.1")]
    Malformed,
    /// The head has too many bytes or fields.
    #[error("the head of the request is too large")]
    HeadTooLarge,
    /// The target is too long.
    #[error("the target of the request is too long")]
    TargetTooLong,
}

impl Refusal {
    /// Status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
        }
    }
}
