//! Why a request got no response from its upstream.

use std::error::Error as _;
use std::io;

/// What failed between a request and its response's head.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The upstream has no backend at all.
    #[error("the upstream has no backend")]
    NoBackend,
    /// The backend's host has no address.
    #[error("the backend's host did not resolve")]
    Resolve(#[source] io::Error),
    /// All addresses of the backend refused.
    #[error("no connection to the backend could be made")]
    Connect(#[source] io::Error),
    /// No address of the backend accepted within the connect time-out.
    #[error("the backend did not accept a connection in time")]
    ConnectTimeout,
    /// The response's head did not arrive within the response time-out.
    #[error("the backend did not begin its response in time")]
    ResponseTimeout,
    /// The client did not go on with its upload.
    #[error("the request's body made no progress")]
    RequestStalled,
    /// The client broke its upload off.
    #[error("the request's body broke off")]
    RequestBroken(#[source] hyper::Error),
    /// The backend closed the connection, or what it sent is no HTTP response.
    #[error("the backend did not answer in HTTP")]
    Exchange(#[source] hyper::Error),
}

impl Error {
    /// What a failed exchange says: the client's half and the backend's half end it alike.
    pub(super) fn exchange(error: hyper::Error) -> Self {
        let body = error
            .source()
            .and_then(|source| source.downcast_ref::<BodyError>());
        match body {
            None => Self::Exchange(error),
            Some(BodyError::Stalled) => Self::RequestStalled,
            Some(BodyError::Broken(_) | BodyError::Stopped) => Self::RequestBroken(error),
        }
    }

    /// Whether the request went nowhere, so that another backend may have it.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        match self {
            Self::Resolve(_) | Self::Connect(_) | Self::ConnectTimeout => true,
            Self::NoBackend
            | Self::ResponseTimeout
            | Self::RequestStalled
            | Self::RequestBroken(_)
            | Self::Exchange(_) => false,
        }
    }
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing arrived for the whole body time-out.
    #[error("the body made no progress")]
    Stalled,
    /// The sender's connection or its framing broke.
    #[error("the body's sender broke off")]
    Broken(#[source] hyper::Error),
    /// The sender gave its HTTP/2 stream up without an error code (RFC 9113 section 8.1).
    #[error("the body's sender stopped before the end")]
    Stopped,
}
