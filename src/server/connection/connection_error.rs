//! Errors that end an HTTP connection, and what they mean for the counts of refusals. Nothing is known here of how a connection
//! runs.

use h3::error::{Code, LocalError};
use http::{StatusCode, Version};

use crate::http1::{Refusal, ServerError};
use crate::proxy::{BodyError, Reason, RejectedEarly};

/// An error that ended a connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum ConnectionError {
    #[error(transparent)]
    Http1(#[from] ServerError<BodyError>),
    #[error(transparent)]
    Http2(#[from] h2::Error),
    #[error(transparent)]
    Http3(#[from] h3::error::ConnectionError),
}

const HEAD_TOO_LARGE: (StatusCode, Reason) = (
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    Reason::HeadTooLarge,
);

impl ConnectionError {
    /// Returns how the protocol refused a request and with it the connection, if it did. `is_reading_head` says whether a
    /// request's head had begun.
    pub(in crate::server) fn rejected_early(&self, is_reading_head: bool) -> Option<RejectedEarly> {
        let (version, (status, reason)) = match self {
            Self::Http1(ServerError::CutHead) if is_reading_head => {
                let cut = (StatusCode::BAD_REQUEST, Reason::HeadCut);
                (Version::HTTP_11, cut)
            }
            Self::Http1(error) => (Version::HTTP_11, refused_by_http1(error)?),
            Self::Http2(error) => (Version::HTTP_2, refused_by_http2(error)?),
            Self::Http3(error) => (Version::HTTP_3, refused_by_http3(error)?),
        };
        Some(RejectedEarly {
            version,
            status,
            reason,
        })
    }

    /// Returns why a response over HTTP/1.1 broke off, if that ended the connection.
    pub(super) fn broken_response(&self) -> Option<Reason> {
        match self {
            Self::Http1(ServerError::Body(error)) => Some(Reason::of_body(error)),
            Self::Http1(ServerError::Response(_)) => Some(Reason::ResponseBroken),
            _ => None,
        }
    }
}

fn refused_by_http1(error: &ServerError<BodyError>) -> Option<(StatusCode, Reason)> {
    match error {
        ServerError::Http2 => Some((StatusCode::BAD_REQUEST, Reason::Http2Protocol)),
        ServerError::Refused(refusal) => Some((
            refusal.status(),
            match refusal {
                Refusal::Malformed => Reason::Malformed,
                Refusal::HeadTooLarge => Reason::HeadTooLarge,
                Refusal::TargetTooLong => Reason::TargetTooLong,
            },
        )),
        _ => None,
    }
}

/// Returns how the connection was refused if the proxy's own HTTP/2 sent the GOAWAY.
fn refused_by_http2(error: &h2::Error) -> Option<(StatusCode, Reason)> {
    if !error.is_go_away() || !error.is_library() {
        return None;
    }
    match error.reason()? {
        h2::Reason::NO_ERROR | h2::Reason::INTERNAL_ERROR => None,
        h2::Reason::ENHANCE_YOUR_CALM if is_head_too_large(error) => Some(HEAD_TOO_LARGE),
        h2::Reason::ENHANCE_YOUR_CALM => Some((StatusCode::TOO_MANY_REQUESTS, Reason::Http2Flood)),
        _ => Some((StatusCode::BAD_REQUEST, Reason::Http2Protocol)),
    }
}

/// Returns how the connection was refused if the proxy's own HTTP/3 closed it.
fn refused_by_http3(error: &h3::error::ConnectionError) -> Option<(StatusCode, Reason)> {
    let h3::error::ConnectionError::Local {
        error: LocalError::Application { code, .. },
        ..
    } = error
    else {
        return None;
    };
    match *code {
        Code::H3_NO_ERROR | Code::H3_INTERNAL_ERROR => None,
        Code::H3_EXCESSIVE_LOAD => Some((StatusCode::TOO_MANY_REQUESTS, Reason::Http3Flood)),
        _ => Some((StatusCode::BAD_REQUEST, Reason::Http3Protocol)),
    }
}

/// Only the text tells a large head from a flood.
fn is_head_too_large(error: &h2::Error) -> bool {
    let text = error.to_string();
    ["too_many_continuations", "header_list_way_too_large"]
        .iter()
        .any(|word| text.contains(word))
}
