//! Head of a request, as it is written to a server.

use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body::Body;

use super::field_case::FieldCase;

/// Framing of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestFraming {
    /// No body, and no field that says so.
    None,
    /// A body of this length.
    Length(u64),
    /// A body whose length is not known yet.
    Chunked,
}

impl RequestFraming {
    /// Decides on the framing by the actual body. The fields of the head have no influence.
    pub(super) fn of<B: Body>(request: &Request<B>) -> Self {
        let body = request.body();
        if body.is_end_stream() {
            return match *request.method() {
                Method::POST | Method::PUT | Method::PATCH => Self::Length(0),
                _ => Self::None,
            };
        }
        body.size_hint().exact().map_or(Self::Chunked, Self::Length)
    }
}

/// Appends the head of `request` to `out`. The target is in origin form (RFC 9112 section 3.2.1). The fields that frame
/// the body are made from `framing`; those of the request are left out.
pub(super) fn write_head<B>(
    request: &Request<B>,
    framing: RequestFraming,
    case: FieldCase,
    out: &mut Vec<u8>,
) {
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
            write_field(name, value, case, out);
        }
    }
    match framing {
        RequestFraming::None => {}
        RequestFraming::Length(length) => {
            write_length(length, case, out);
        }
        RequestFraming::Chunked => {
            let chunked = HeaderValue::from_static("chunked");
            write_field(&TRANSFER_ENCODING, &chunked, case, out);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a line with a field to `out`.
pub(super) fn write_field(
    name: &HeaderName,
    value: &HeaderValue,
    case: FieldCase,
    out: &mut Vec<u8>,
) {
    case.write(name.as_str(), out);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Names of the trailers that the head announces.
pub(super) fn announced_trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(TRAILER).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

/// `true` if the head says that the connection closes after this exchange (RFC 9112 section 9.6).
pub(super) fn asks_for_close(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(is_close)
}

/// Appends the field with the length of a body to `out`.
pub(super) fn write_length(length: u64, case: FieldCase, out: &mut Vec<u8>) {
    case.write(CONTENT_LENGTH.as_str(), out);
    out.extend_from_slice(b": ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `true` if this value of Connection has the option `close`.
pub(super) fn is_close(value: &HeaderValue) -> bool {
    let mut options = value.as_bytes().split(|byte| *byte == b',');
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};

    use super::*;

    type TestBody = BoxBody<Bytes, std::convert::Infallible>;

    fn full(data: &'static str) -> TestBody {
        Full::from(data).boxed()
    }

    fn of_unknown_length() -> TestBody {
        let frames: [Result<http_body::Frame<Bytes>, _>; 0] = [];
        BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn written(request: &Request<TestBody>, case: FieldCase) -> String {
        let mut out = Vec::new();
        write_head(request, RequestFraming::of(request), case, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_framing_is_that_of_the_body_whatever_the_head_says() {
        for (method, body, line) in [
            ("GET", Empty::new().boxed(), ""),
            ("DELETE", Empty::new().boxed(), ""),
            ("POST", Empty::new().boxed(), "content-length: 0\r\n"),
            ("PUT", full("abc"), "content-length: 3\r\n"),
            ("GET", full("abc"), "content-length: 3\r\n"),
            ("GET", of_unknown_length(), "transfer-encoding: chunked\r\n"),
            (
                "POST",
                of_unknown_length(),
                "transfer-encoding: chunked\r\n",
            ),
        ] {
            let request = Request::builder()
                .method(method)
                .uri("/a?b=%2e")
                .header("host", "x")
                .header("content-length", "99")
                .header("transfer-encoding", "gzip")
                .body(body)
                .unwrap();
            let expected = format!("{method} /a?b=%2e HTTP/1.1\r\nhost: x\r\n{line}\r\n");
            assert_eq!(written(&request, FieldCase::Lower), expected);
        }
    }

    #[test]
    fn the_target_is_in_origin_form() {
        for (uri, target) in [
            ("https://www.example.org/a?b", "/a?b"),
            ("https://www.example.org", "/"),
            ("*", "*"),
            ("/", "/"),
        ] {
            let request = Request::builder().uri(uri).body(full("")).unwrap();
            let expected = format!("GET {target} HTTP/1.1\r\n\r\n");
            assert_eq!(written(&request, FieldCase::Lower), expected);
        }
    }

    #[test]
    fn field_names_can_be_in_title_case() {
        let request = Request::builder()
            .header("x-api-key", "a-b")
            .body(full("abc"))
            .unwrap();
        assert_eq!(
            written(&request, FieldCase::Title),
            "GET / HTTP/1.1\r\nX-Api-Key: a-b\r\nContent-Length: 3\r\n\r\n"
        );
    }

    #[test]
    fn close_is_found_in_any_list() {
        for (values, expected) in [
            (&["close"][..], true),
            (&["keep-alive, Close"], true),
            (&["te", "x ,CLOSE\t"], true),
            (&["keep-alive"], false),
            (&["closed"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONNECTION, HeaderValue::from_static(value));
            }
            assert_eq!(asks_for_close(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn lengths_are_written_in_full() {
        for length in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            write_length(length, FieldCase::Lower, &mut out);
            assert_eq!(out, format!("content-length: {length}\r\n").as_bytes());
        }
    }
}
