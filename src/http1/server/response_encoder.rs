//! Head of a response, as it is written to a client.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Response, StatusCode, Version};
use http_body::Body;
use hyper::ext::ReasonPhrase;

use super::request_meaning::has_token;
use crate::http1::encoded_body::BodyEncoder;
use crate::http1::field_case::FieldCase;
use crate::http1::request_head::{announced_trailers, write_field, write_length};

/// Part of a request on which the head of its response depends.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedResponse {
    /// Version of the request.
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
    /// `true` if the client understands trailers.
    pub(super) takes_trailers: bool,
}

/// State after the head of a response.
#[derive(Debug)]
pub(super) struct BegunResponse {
    /// Encoder of the body; `None` if none is sent.
    pub(super) encoder: Option<BodyEncoder>,
    /// `true` if no other response may follow on the connection.
    pub(super) is_last: bool,
}

/// Framing of the body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// No body, whatever the response has (RFC 9112 section 6.3).
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl AskedResponse {
    pub(super) fn new(method: &Method, version: Version, takes_trailers: bool) -> Self {
        Self {
            version,
            is_head: *method == Method::HEAD,
            is_connect: *method == Method::CONNECT,
            takes_trailers,
        }
    }

    /// Stands for bytes that are no request.
    pub(super) fn unknown() -> Self {
        Self::new(&Method::GET, Version::HTTP_11, false)
    }

    /// Decides on the framing by the actual body. The fields of the response have no influence.
    fn framing<B: Body>(self, response: &Response<B>) -> Framing {
        let body = response.body();
        if self.is_head || self.is_switched(response.status()) || is_empty(response.status()) {
            Framing::None
        } else if body.is_end_stream() {
            Framing::Length(0)
        } else if let Some(length) = body.size_hint().exact() {
            Framing::Length(length)
        } else if self.version == Version::HTTP_11 {
            Framing::Chunked
        } else {
            Framing::UntilClose
        }
    }

    /// `true` if the connection no longer carries HTTP after a response with this status.
    fn is_switched(self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success())
    }

    /// Appends the head of `response` to `out`. The fields that frame the body are made from the body; those of the response
    /// are left out. `is_kept` tells that another request may follow. `date` is the value of a missing `Date`.
    pub(super) fn write_head<B: Body<Data = Bytes>>(
        self,
        response: &Response<B>,
        is_kept: bool,
        date: impl FnOnce() -> HeaderValue,
        out: &mut Vec<u8>,
    ) -> BegunResponse {
        let framing = self.framing(response);
        let is_switched = self.is_switched(response.status());
        write_status_line(response, self.version, out);
        let may_have_trailers = self.version == Version::HTTP_11 && framing != Framing::None;
        let (mut has_close, mut has_keep_alive, mut has_date) = (false, false, false);
        for (name, value) in response.headers() {
            match *name {
                CONTENT_LENGTH | TRANSFER_ENCODING => continue,
                TRAILER if !may_have_trailers => continue,
                CONNECTION => {
                    has_close |= has_token(value, "close");
                    has_keep_alive |= has_token(value, "keep-alive");
                }
                DATE => has_date = true,
                _ => {}
            }
            write_field(name, value, FieldCase::Lower, out);
        }
        self.write_length(response, framing, out);
        let is_last = !is_kept || has_close || is_switched || framing == Framing::UntilClose;
        if is_last && !has_close && !is_switched && self.version == Version::HTTP_11 {
            out.extend_from_slice(b"connection: close\r\n");
        } else if !is_last && !has_keep_alive && self.version == Version::HTTP_10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        if !has_date {
            write_field(&DATE, &date(), FieldCase::Lower, out);
        }
        out.extend_from_slice(b"\r\n");
        BegunResponse {
            encoder: self.encoder(response, framing),
            is_last,
        }
    }

    /// Appends the field that frames the body.
    fn write_length<B: Body>(self, response: &Response<B>, framing: Framing, out: &mut Vec<u8>) {
        match framing {
            Framing::Length(length) => write_length(length, FieldCase::Lower, out),
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            // The length that the body would have had in a response to GET.
            Framing::None if self.is_head => {
                let body = response.body();
                if let Some(length) = response.headers().get(CONTENT_LENGTH) {
                    write_field(&CONTENT_LENGTH, length, FieldCase::Lower, out);
                } else if !body.is_end_stream()
                    && !is_empty(response.status())
                    && let Some(length) = body.size_hint().exact()
                {
                    write_length(length, FieldCase::Lower, out);
                }
            }
            Framing::None | Framing::UntilClose => {}
        }
    }

    fn encoder<B>(self, response: &Response<B>, framing: Framing) -> Option<BodyEncoder> {
        match framing {
            Framing::None | Framing::Length(0) => None,
            Framing::Length(length) => Some(BodyEncoder::Length(length)),
            Framing::Chunked => Some(BodyEncoder::Chunked {
                trailers: if self.takes_trailers {
                    announced_trailers(response.headers())
                } else {
                    Vec::new()
                },
                case: FieldCase::Lower,
            }),
            Framing::UntilClose => Some(BodyEncoder::UntilClose),
        }
    }
}

/// `true` if responses with this status never have a body.
fn is_empty(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn write_status_line<B>(response: &Response<B>, version: Version, out: &mut Vec<u8>) {
    let status = response.status();
    let reason = response.extensions().get::<ReasonPhrase>();
    if version == Version::HTTP_11 && status == StatusCode::OK && reason.is_none() {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(match version {
        Version::HTTP_10 => b"HTTP/1.0 ",
        _ => b"HTTP/1.1 ",
    });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    let usual = || status.canonical_reason().unwrap_or("<none>").as_bytes();
    out.extend_from_slice(reason.map_or_else(usual, ReasonPhrase::as_bytes));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};

    use super::*;

    type TestBody = BoxBody<Bytes, std::convert::Infallible>;

    fn full(data: &'static str) -> TestBody {
        Full::from(data).boxed()
    }

    fn of_unknown_length() -> TestBody {
        let frames: [Result<http_body::Frame<Bytes>, _>; 0] = [];
        BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn asked(method: &Method, version: Version) -> AskedResponse {
        AskedResponse::new(method, version, true)
    }

    fn written(asked: AskedResponse, response: &Response<TestBody>) -> (String, BegunResponse) {
        let mut out = Vec::new();
        let date = || HeaderValue::from_static("now");
        let begun = asked.write_head(response, true, date, &mut out);
        let head = String::from_utf8(out).unwrap();
        (head.replace("date: now\r\n\r\n", ""), begun)
    }

    fn response(status: u16, body: TestBody) -> Response<TestBody> {
        Response::builder().status(status).body(body).unwrap()
    }

    /// Expects the fields `line` in the head of a response that declares another framing.
    fn expect(
        asked: AskedResponse,
        status: u16,
        body: TestBody,
        (line, is_last): (&'static str, bool),
    ) {
        let mut response = response(status, body);
        let fields = response.headers_mut();
        fields.insert(CONTENT_LENGTH, HeaderValue::from_static("99"));
        fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
        let (head, begun) = written(asked, &response);
        let (_, fields) = head.split_once("\r\n").unwrap();
        assert_eq!(fields, line, "{asked:?} {status}");
        assert_eq!(begun.is_last, is_last, "{asked:?} {status}");
    }

    #[test]
    fn the_framing_is_that_of_the_body_whatever_the_head_says() {
        let length = ("content-length: 3\r\n", false);
        let get = asked(&Method::GET, Version::HTTP_11);
        expect(get, 200, full(""), ("content-length: 0\r\n", false));
        expect(get, 200, full("abc"), length);
        let chunked = ("transfer-encoding: chunked\r\n", false);
        expect(get, 200, of_unknown_length(), chunked);
        expect(get, 204, full("abc"), ("", false));
        expect(get, 304, of_unknown_length(), ("", false));
        expect(get, 101, full(""), ("", true));

        let connect = asked(&Method::CONNECT, Version::HTTP_11);
        expect(connect, 200, full(""), ("", true));
        expect(connect, 405, full("abc"), length);

        let declared = ("content-length: 99\r\n", false);
        let head = asked(&Method::HEAD, Version::HTTP_11);
        expect(head, 200, full("abc"), declared);
        expect(head, 304, of_unknown_length(), declared);

        let old = asked(&Method::GET, Version::HTTP_10);
        let kept = "content-length: 3\r\nconnection: keep-alive\r\n";
        expect(old, 200, full("abc"), (kept, false));
        expect(old, 200, of_unknown_length(), ("", true));
    }

    #[test]
    fn a_response_to_head_has_the_length_of_its_body_if_it_declares_none() {
        let response = response(200, full("abc"));
        let (head, begun) = written(asked(&Method::HEAD, Version::HTTP_11), &response);
        assert_eq!(head, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n");
        assert!(begun.encoder.is_none());
    }

    #[test]
    fn the_last_response_says_so() {
        let asked = AskedResponse::unknown();
        for (is_kept, connection, expected, is_last) in [
            (true, "", "", false),
            (false, "", "connection: close\r\n", true),
            (true, "x, close", "connection: x, close\r\n", true),
            (false, "close", "connection: close\r\n", true),
            (false, "x", "connection: x\r\nconnection: close\r\n", true),
        ] {
            let mut response = response(404, full(""));
            if !connection.is_empty() {
                let value = HeaderValue::from_static(connection);
                response.headers_mut().insert(CONNECTION, value);
            }
            let mut out = Vec::new();
            let date = || HeaderValue::from_static("now");
            let begun = asked.write_head(&response, is_kept, date, &mut out);
            let head = String::from_utf8(out).unwrap();
            let head = head.replace("content-length: 0\r\n", "");
            let expected = format!("HTTP/1.1 404 Not Found\r\n{expected}date: now\r\n\r\n");
            assert_eq!((head, begun.is_last), (expected, is_last));
        }
    }

    #[test]
    fn status_reason_and_date_are_those_of_the_response() {
        let mut response = response(299, full(""));
        response
            .headers_mut()
            .insert(DATE, HeaderValue::from_static("then"));
        let (head, _) = written(asked(&Method::GET, Version::HTTP_10), &response);
        let fields = "date: then\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n";
        assert_eq!(head, format!("HTTP/1.0 299 <none>\r\n{fields}"));
        let reason = ReasonPhrase::from_static(b"Fine");
        response.extensions_mut().insert(reason);
        let (head, _) = written(asked(&Method::GET, Version::HTTP_11), &response);
        assert!(head.starts_with("HTTP/1.1 299 Fine\r\n"), "{head}");
    }
}
