//! Meaning of the head of a response: interim or final, and where the body ends.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};

use super::error::Error;
use super::request_head::is_close;

/// Head of a response.
#[derive(Debug)]
pub enum ResponseHead {
    /// Head of an interim response (RFC 9110 section 15.2). Another head follows.
    Interim(Response<()>),
    /// Head of the final response, or of `101 Switching Protocols`.
    Final(Response<()>),
}

/// Framing of the body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseFraming {
    /// A body of this length.
    Length(u64),
    Chunked,
    /// A body that ends with the connection.
    UntilClose,
}

impl ResponseFraming {
    /// Decides where the body of a response ends (RFC 9112 section 6.3). `is_head` tells that the request had the method
    /// HEAD.
    pub(super) fn of(response: &Response<()>, is_head: bool) -> Result<Self, Error> {
        let is_empty = matches!(
            response.status(),
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let headers = response.headers();
        if is_empty || is_head {
            Ok(Self::Length(0))
        } else if headers.contains_key(TRANSFER_ENCODING) {
            if response.version() == Version::HTTP_11 && is_chunked(headers) {
                Ok(Self::Chunked)
            } else {
                Err(Error::TransferEncoding)
            }
        } else if headers.contains_key(CONTENT_LENGTH) {
            let length = content_length(headers);
            length.map(Self::Length).ok_or(Error::ContentLength)
        } else {
            Ok(Self::UntilClose)
        }
    }
}

/// `true` if another request may follow a response with this head on its connection.
pub(super) fn keeps_alive(response: &Response<()>) -> bool {
    let headers = response.headers();
    // HTTP/1.0 knows no chunked uploads. A message with both kinds of length may be an attack (RFC 9112 section 6.3).
    response.version() == Version::HTTP_11
        && !headers.get_all(CONNECTION).iter().any(is_close)
        && !(headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH))
}

/// `true` if the only transfer coding is a single `chunked`.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next().map(HeaderValue::as_bytes);
    codings.next().is_none()
        && first.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Length that all Content-Length fields and list elements agree on.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(CONTENT_LENGTH).iter();
    let mut lengths = values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|element| parse_length(element.trim_ascii()));
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}

/// Number that these digits make.
pub(super) fn parse_length(digits: &[u8]) -> Option<u64> {
    let add = |length: u64, byte: &u8| {
        let digit = char::from(*byte).to_digit(10)?;
        length.checked_mul(10)?.checked_add(digit.into())
    };
    let has_digits = !digits.is_empty();
    has_digits.then(|| digits.iter().try_fold(0, add))?
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn response(status: u16, fields: &[(&'static str, &'static str)]) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            let name = HeaderName::from_static(name);
            let value = HeaderValue::from_static(value);
            response.headers_mut().append(name, value);
        }
        response
    }

    #[test]
    fn the_framing_follows_from_status_method_and_fields() {
        use ResponseFraming::{Chunked, Length, UntilClose};
        const LENGTH: &str = "content-length";
        const CODING: &str = "transfer-encoding";
        for (status, fields, framing) in [
            (200, &[][..], Some(UntilClose)),
            (200, &[(LENGTH, "0")], Some(Length(0))),
            (200, &[(LENGTH, "007")], Some(Length(7))),
            (200, &[(LENGTH, "7"), (LENGTH, "7 , 7")], Some(Length(7))),
            (200, &[(CODING, "Chunked")], Some(Chunked)),
            (200, &[(CODING, "chunked"), (LENGTH, "9")], Some(Chunked)),
            (204, &[(LENGTH, "9")], Some(Length(0))),
            (304, &[(CODING, "gzip")], Some(Length(0))),
            (200, &[(LENGTH, "")], None),
            (200, &[(LENGTH, "7,")], None),
            (200, &[(LENGTH, "+7")], None),
            (200, &[(LENGTH, "0x7")], None),
            (200, &[(LENGTH, "7"), (LENGTH, "8")], None),
            (200, &[(LENGTH, "18446744073709551616")], None),
            (200, &[(CODING, "gzip")], None),
            (200, &[(CODING, "gzip, chunked")], None),
            (200, &[(CODING, "chunked"), (CODING, "chunked")], None),
            (200, &[(CODING, "chunked, gzip"), (LENGTH, "9")], None),
        ] {
            let response = response(status, fields);
            let found = ResponseFraming::of(&response, false).ok();
            assert_eq!(found, framing, "{fields:?}");
            let to_head = ResponseFraming::of(&response, true).ok();
            assert_eq!(to_head, Some(Length(0)));
        }
        let mut old = response(200, &[(CODING, "chunked")]);
        *old.version_mut() = Version::HTTP_10;
        assert!(ResponseFraming::of(&old, false).is_err());
    }

    #[test]
    fn only_an_unambiguous_1_1_response_without_close_keeps_the_connection() {
        let both = [("content-length", "1"), ("transfer-encoding", "chunked")];
        for (fields, expected) in [
            (&[][..], true),
            (&[("connection", "keep-alive")], true),
            (
                &[("connection", "keep-alive"), ("connection", "a, close")],
                false,
            ),
            (&both, false),
            (&both[..1], true),
        ] {
            assert_eq!(keeps_alive(&response(200, fields)), expected);
        }
        let mut old = response(200, &[("connection", "keep-alive")]);
        *old.version_mut() = Version::HTTP_10;
        assert!(!keeps_alive(&old));
    }
}
