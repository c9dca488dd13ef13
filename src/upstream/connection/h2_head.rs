//! Conversion of request heads between HTTP/1.1 and HTTP/2.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version};

use crate::upstream::address::Address;
use crate::upstream::body::RequestBody;

/// Converts a request from HTTP/1.1 to HTTP/2. Moves the host into the target and removes hop-by-hop fields (RFC 9113
/// sections 8.2.2 and 8.3.1).
pub(in crate::upstream) fn to_http2(
    mut request: Request<RequestBody>,
    backend: &Address,
    is_tls: bool,
) -> Request<RequestBody> {
    let headers = request.headers_mut();
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    let host = headers.remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = authority.unwrap_or_else(|| own_authority(backend));
    let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
    let target = request.uri().path_and_query().cloned();
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(target.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build();
    *request.uri_mut() = uri.expect("a scheme, an authority and a path are a valid URI");
    *request.version_mut() = Version::HTTP_2;
    request
}

/// Undoes [`to_http2`], so that the request can be sent again on a connection of either version.
pub(in crate::upstream) fn to_http1(mut request: Request<RequestBody>) -> Request<RequestBody> {
    let uri = std::mem::take(request.uri_mut()).into_parts();
    let has_body = !request.body().is_empty();
    let headers = request.headers_mut();
    let host = uri
        .authority
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        headers.insert(HOST, host);
    }
    if has_body && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if headers.contains_key(TE) {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    let target = uri.path_and_query;
    *request.uri_mut() = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = Version::HTTP_11;
    request
}

fn own_authority(backend: &Address) -> Authority {
    Authority::try_from(backend.authority()).unwrap_or_else(|_| Authority::from_static("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        target: &'static str,
        fields: &[(&'static str, &'static str)],
    ) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::empty());
        *request.uri_mut() = Uri::from(PathAndQuery::from_static(target));
        for (name, value) in fields {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        request
    }

    fn backend() -> Address {
        Address::parse("h2c://[::1]:50051").unwrap()
    }

    #[test]
    fn a_head_converted_to_http_2_and_back_is_unchanged() {
        let fields = [
            ("host", "www.example.org:8443"),
            ("te", "trailers"),
            ("connection", "te"),
            ("x", "y"),
        ];
        for target in ["/a?b", "*"] {
            let there = to_http2(request(target, &fields), &backend(), true);
            assert_eq!(there.version(), Version::HTTP_2);
            let uri = there.uri();
            assert_eq!(uri.scheme(), Some(&Scheme::HTTPS));
            assert_eq!(uri.authority().unwrap(), "www.example.org:8443");
            assert_eq!(uri.path_and_query().unwrap().as_str(), target);
            assert_eq!(there.headers().len(), 2);
            assert_eq!(there.headers()["te"], "trailers");

            let back = to_http1(there);
            assert_eq!(back.uri().path_and_query().unwrap().as_str(), target);
            assert!(back.uri().authority().is_none());
            assert_eq!(back.headers(), request(target, &fields).headers());
        }
    }

    #[test]
    fn any_valid_form_of_host_becomes_the_authority() {
        for host in [
            "www.example.org:",
            "WWW.example.org.",
            "[::1]:8443",
            "a_b.example.org:1",
        ] {
            let there = to_http2(request("/", &[("host", host)]), &backend(), true);
            assert_eq!(there.uri().authority().unwrap().as_str(), host);
        }
    }

    #[test]
    fn hop_by_hop_fields_are_removed() {
        let fields = [
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
        ];
        let there = to_http2(request("/", &fields), &backend(), false);
        assert!(there.headers().is_empty());
        assert_eq!(there.uri().scheme(), Some(&Scheme::HTTP));
        assert_eq!(there.uri().authority().unwrap(), "[::1]:50051");
    }
}
