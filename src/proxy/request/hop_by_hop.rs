//! Hop-by-hop fields, which are not forwarded in either direction (RFC 9110 section 7.6.1).

use bytes::BytesMut;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, SET_COOKIE, TE,
    TRAILER,
};
use http::{HeaderMap, HeaderValue, Request, Version};

use super::header_scan::{Fields, HeaderScan, list_elements, single_field};
use crate::upstream::remove_unpassable;

/// Removes the fields that never pass: those that Connection names, the well-known ones of one connection, and all that
/// a recipient could take for one of them.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap, scan: HeaderScan) {
    if scan.has(Fields::CONNECTION) {
        if !names_no_field(headers) {
            for name in named_by_connection(headers) {
                headers.remove(name);
            }
        }
        headers.remove(CONNECTION);
    }
    if scan.has(Fields::TE | Fields::TRANSFER_ENCODING | Fields::UPGRADE | Fields::UNPASSABLE) {
        remove_unpassable(headers);
    }
}

/// Removes the hop-by-hop fields of a request and all that an app could take for them or for its framing, and joins its
/// cookies. `TE: trailers` is kept. Expect is removed too: the request body adds it again if the backend is to answer it.
pub(crate) fn strip_request(headers: &mut HeaderMap, scan: HeaderScan) {
    let wants_trailers = scan.has(Fields::TE) && has_token(headers, &TE, "trailers");
    strip_hop_by_hop(headers, scan);
    if scan.has(Fields::EXPECT) {
        headers.remove(EXPECT);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if scan.has(Fields::COOKIE) {
        join_cookies(headers);
    }
}

/// Copies the values into their own memory. HTTP/2 remembers fields for later responses of a connection (RFC 7541
/// section 2.3.2), and each of them would keep the whole buffer into which the backend's head was read.
pub(crate) fn detach(headers: &mut HeaderMap) {
    let mut memory = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values_mut() {
        memory.extend_from_slice(value.as_bytes());
        let bytes = memory.split().freeze();
        let mut detached = HeaderValue::from_maybe_shared(bytes).expect("a copied value is valid");
        detached.set_sensitive(value.is_sensitive());
        *value = detached;
    }
}

/// `true` if the client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1). HTTP/1.0 has no
/// such expectation, and a field with other expectations is ignored.
pub(crate) fn expects_continue<B>(request: &Request<B>) -> bool {
    request.version() > Version::HTTP_10
        && single_field(request.headers(), &EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// `true` if the field `name`, a list of tokens, has this token.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list_elements(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

/// `true` if Connection has only `keep-alive` or `close`, by far the most frequent case.
fn names_no_field(headers: &HeaderMap) -> bool {
    let mut options = headers
        .get_all(CONNECTION)
        .iter()
        .map(HeaderValue::as_bytes);
    options.all(|option| {
        option.eq_ignore_ascii_case(b"keep-alive") || option.eq_ignore_ascii_case(b"close")
    })
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    list_elements(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !is_end_to_end(name))
        .collect()
}

/// `true` for fields that every recipient needs to route, frame, understand or trace a message. Connection cannot remove
/// them.
fn is_end_to_end(name: &HeaderName) -> bool {
    matches!(
        *name,
        HOST | CONTENT_LENGTH | CONTENT_TYPE | COOKIE | SET_COOKIE | TRAILER
    ) || matches!(name.as_str(), "traceparent" | "tracestate")
}

/// Joins the Cookie fields that HTTP/2 allows to be split (RFC 9113 section 8.2.3). Returns whether there were several.
pub(super) fn join_cookies(headers: &mut HeaderMap) -> bool {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else {
        return false;
    };
    let mut joined = first.as_bytes().to_vec();
    for cookie in std::iter::once(second).chain(cookies) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    let joined = HeaderValue::try_from(joined).expect("joined valid values are a valid value");
    headers.insert(COOKIE, joined);
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_are_removed() {
        let mut fields = headers(&[
            ("connection", "close, X-One"),
            ("connection", "x-two ,, keep-alive"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-authenticate", "Basic"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("proxy", "http://evil.example"),
            ("trailer", "x-sum"),
            ("x-three", "3"),
        ]);
        let scan = HeaderScan::of(&fields);
        strip_hop_by_hop(&mut fields, scan);
        assert_eq!(fields, headers(&[("trailer", "x-sum"), ("x-three", "3")]));
    }

    #[test]
    fn keep_alive_and_close_remove_no_other_field() {
        for option in ["Keep-Alive", "close"] {
            let mut fields = headers(&[
                ("connection", option),
                ("keep-alive", "timeout=5"),
                ("x", "1"),
            ]);
            let scan = HeaderScan::of(&fields);
            strip_hop_by_hop(&mut fields, scan);
            assert_eq!(fields, headers(&[("x", "1")]), "{option}");
        }
    }

    #[test]
    fn connection_cannot_remove_framing_or_routing_fields() {
        let mut fields = headers(&[
            (
                "connection",
                "host, content-length, Trailer, cookie, traceparent, tracestate",
            ),
            ("traceparent", "00-1"),
            ("tracestate", "a=1"),
            ("host", "a.example"),
            ("content-length", "3"),
            ("trailer", "x-sum"),
            ("cookie", "a=1"),
        ]);
        let scan = HeaderScan::of(&fields);
        strip_hop_by_hop(&mut fields, scan);
        assert_eq!(fields.len(), 6);
    }

    #[test]
    fn of_te_and_connection_only_the_wish_for_trailers_is_kept() {
        let mut fields = headers(&[
            ("te", "gzip;q=0.5, Trailers"),
            ("expect", "100-continue"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("connection", "upgrade, http2-settings"),
            ("upgrade", "h2c"),
        ]);
        let scan = HeaderScan::of(&fields);
        strip_request(&mut fields, scan);
        assert_eq!(fields, headers(&[("te", "trailers"), ("connection", "te")]));
    }

    #[test]
    fn what_an_app_could_take_for_a_framing_field_is_removed_from_requests() {
        let mut fields = headers(&[
            ("transfer_encoding", "chunked"),
            ("content_length", "5"),
            ("keep.alive", "timeout=5"),
            ("content-length", "3"),
            ("content_type", "text/html"),
        ]);
        let scan = HeaderScan::of(&fields);
        strip_request(&mut fields, scan);
        assert_eq!(
            fields,
            headers(&[("content-length", "3"), ("content_type", "text/html")])
        );
    }

    #[test]
    fn detached_values_are_equal_and_hold_no_other_memory() {
        let head = Bytes::from("text/html, and the rest of a large buffer".to_owned());
        let mut fields = HeaderMap::new();
        let value = HeaderValue::from_maybe_shared(head.slice(..9)).unwrap();
        fields.insert(CONTENT_TYPE, value);
        let mut secret = HeaderValue::from_maybe_shared(head.slice(11..14)).unwrap();
        secret.set_sensitive(true);
        fields.append(SET_COOKIE, secret);

        detach(&mut fields);

        assert!(head.is_unique());
        assert_eq!(fields[CONTENT_TYPE], "text/html");
        assert_eq!(fields[SET_COOKIE], "and");
        assert!(fields[SET_COOKIE].is_sensitive());
    }

    #[test]
    fn split_cookies_become_one_field() {
        let mut fields = headers(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")]);
        let scan = HeaderScan::of(&fields);
        strip_request(&mut fields, scan);
        assert_eq!(fields, headers(&[("cookie", "a=1; b=2; c=3"), ("x", "y")]));
    }
}
