//! Framing of messages. A message whose framing is uncertain is refused. Forwarded messages get new framing fields, made
//! from the parsed body; those of the sender are never copied.
//!
//! The connection has already refused what cannot be parsed. Over HTTP/1.1, that is also a message with both a transfer
//! coding and a length, and one with several lengths.

use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;

use super::header_scan::{Fields, HeaderScan, single_field};
use crate::proxy::error::Error;
use crate::proxy::service_options::ServiceOptions;
use crate::upstream::{RequestBody, ResponseBody};

/// Refuses a request with uncertain framing, too large a head, or the method CONNECT other than for WebSocket.
pub(crate) fn check<B>(
    request: &Request<B>,
    scan: HeaderScan,
    options: &ServiceOptions,
) -> Result<(), Error> {
    let headers = request.headers();
    let has_length = scan.has(Fields::CONTENT_LENGTH);
    if scan.has(Fields::TRANSFER_ENCODING)
        && (has_length || request.version() != Version::HTTP_11 || !is_chunked(headers))
    {
        return Err(Error::TransferEncoding);
    }
    if has_length && declared_length(headers).is_none() {
        return Err(Error::ContentLength);
    }
    if headers.len() > options.head_fields {
        return Err(Error::TooManyFields);
    }
    let target = request.uri().path_and_query();
    if scan.size + target.map_or(0, |target| target.as_str().len()) > options.head_size {
        return Err(Error::HeadTooLarge);
    }
    if request.method() == Method::CONNECT && !is_extended_connect(request) {
        return Err(Error::Connect);
    }
    Ok(())
}

/// `true` if `request` is a CONNECT that asks for WebSocket over HTTP/2 (RFC 8441 section 5).
pub(crate) fn is_extended_connect<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.version() == Version::HTTP_2
        && request.method() == Method::CONNECT
        && protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// Sets the target, and frames a request for HTTP/1.1 by its actual body.
pub(crate) fn frame_request(
    request: &mut Request<RequestBody>,
    scan: HeaderScan,
    target: PathAndQuery,
) {
    *request.uri_mut() = Uri::from(target);
    *request.version_mut() = Version::HTTP_11;
    let is_empty = request.body().is_empty();
    let length = request.body().size_hint().exact();
    let expects_body = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH
    );
    if scan.has(Fields::TRAILER) {
        RequestBody::announce_trailers(request);
    }
    let headers = request.headers_mut();
    if scan.has(Fields::TRANSFER_ENCODING | Fields::CONTENT_LENGTH) {
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
    }
    match length {
        _ if is_empty && expects_body => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        _ if is_empty => {}
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// Frames a response for the client by its actual body. `method` is the request's.
pub(crate) fn frame_response(
    response: &mut Response<ResponseBody>,
    scan: HeaderScan,
    method: &Method,
) -> Result<(), Error> {
    if !scan.has(Fields::TRANSFER_ENCODING | Fields::CONTENT_LENGTH) {
        return Ok(());
    }
    let status = response.status();
    let is_bodiless = *method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    let forbids_length = status == StatusCode::NO_CONTENT || status.is_informational();
    if scan.has(Fields::TRANSFER_ENCODING) {
        if !is_bodiless && !forbids_length && !is_chunked(response.headers()) {
            return Err(Error::ResponseFraming);
        }
        response.headers_mut().remove(TRANSFER_ENCODING);
    }
    if !scan.has(Fields::CONTENT_LENGTH) {
        return Ok(());
    }
    let length = response.body().size_hint().exact();
    let headers = response.headers_mut();
    let declared = declared_length(headers);
    // Without a body, the declared length cannot be checked, and is kept.
    let is_right = declared.is_some() && (is_bodiless || declared == length);
    if forbids_length || !is_right {
        headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

/// `true` if the only transfer coding is a single `chunked`.
fn is_chunked(headers: &HeaderMap) -> bool {
    let coding = single_field(headers, &TRANSFER_ENCODING).map(HeaderValue::as_bytes);
    coding.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Value of Content-Length. `None` unless there is exactly one field with a valid number.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    let text = single_field(headers, &CONTENT_LENGTH)?.to_str().ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<B>(request: &Request<B>, options: &ServiceOptions) -> Result<(), Error> {
        super::check(request, HeaderScan::of(request.headers()), options)
    }

    fn fields(head_fields: usize) -> ServiceOptions {
        ServiceOptions {
            head_fields,
            ..ServiceOptions::default()
        }
    }

    fn request(fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn only_a_single_chunked_is_accepted_as_coding() {
        for value in ["chunked", "Chunked", "CHUNKED"] {
            assert!(
                check(
                    &request(&[("transfer-encoding", value)]),
                    &ServiceOptions::default()
                )
                .is_ok()
            );
        }
        for value in [
            "gzip, chunked",
            "identity",
            "xchunked",
            "chunked, chunked",
            "\"chunked\"",
            "",
        ] {
            let refused = check(
                &request(&[("transfer-encoding", value)]),
                &ServiceOptions::default(),
            );
            assert!(matches!(refused, Err(Error::TransferEncoding)), "{value:?}");
        }
        let twice = request(&[
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ]);
        assert!(matches!(
            check(&twice, &ServiceOptions::default()),
            Err(Error::TransferEncoding)
        ));
    }

    #[test]
    fn a_coding_with_a_length_or_outside_http_1_1_is_refused() {
        let both = request(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        assert!(matches!(
            check(&both, &ServiceOptions::default()),
            Err(Error::TransferEncoding)
        ));
        for version in [Version::HTTP_10, Version::HTTP_2] {
            let mut request = request(&[("transfer-encoding", "chunked")]);
            *request.version_mut() = version;
            assert!(matches!(
                check(&request, &ServiceOptions::default()),
                Err(Error::TransferEncoding)
            ));
        }
    }

    #[test]
    fn a_length_must_be_one_number() {
        assert!(
            check(
                &request(&[("content-length", "5")]),
                &ServiceOptions::default()
            )
            .is_ok()
        );
        for value in [
            "",
            "+5",
            "-5",
            "5,5",
            "5, 6",
            "0x5",
            "5 5",
            "18446744073709551621",
        ] {
            let refused = check(
                &request(&[("content-length", value)]),
                &ServiceOptions::default(),
            );
            assert!(matches!(refused, Err(Error::ContentLength)), "{value:?}");
        }
        let twice = request(&[("content-length", "5"), ("content-length", "5")]);
        assert!(matches!(
            check(&twice, &ServiceOptions::default()),
            Err(Error::ContentLength)
        ));
    }

    #[test]
    fn repeated_fields_count_one_by_one() {
        let crumbs = request(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]);
        assert!(check(&crumbs, &fields(3)).is_ok());
        assert!(matches!(
            check(&crumbs, &fields(2)),
            Err(Error::TooManyFields)
        ));
    }

    #[test]
    fn an_empty_body_has_a_length_only_if_the_method_expects_a_body() {
        for (method, length) in [("POST", Some("0")), ("GET", None), ("DELETE", None)] {
            let mut request = Request::builder()
                .method(method)
                .header("content-length", "0")
                .body(RequestBody::empty())
                .unwrap();
            let scan = HeaderScan::of(request.headers());
            frame_request(&mut request, scan, PathAndQuery::from_static("/"));
            let sent = request.headers().get(CONTENT_LENGTH);
            assert_eq!(
                sent.map(|value| value.to_str().unwrap()),
                length,
                "{method}"
            );
        }
    }

    #[test]
    fn the_size_of_a_head_is_limited() {
        let large = "x".repeat(32 * 1024);
        let refused = check(&request(&[("x", &large)]), &ServiceOptions::default());
        assert!(matches!(refused, Err(Error::HeadTooLarge)));
        assert!(
            check(
                &request(&[("x", &large[..30_000])]),
                &ServiceOptions::default()
            )
            .is_ok()
        );
    }
}
