//! When a response is compressed, and what its head says then.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;

use super::coding::Coding;
use super::options::CompressionOptions;
use crate::proxy::request::hop_by_hop::has_token;

/// Fields that are about the very bytes of a body.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];
/// Types whose parts must come when they are sent, or that pack their parts themselves.
const NEVER: [&str; 4] = [
    "text/event-stream",
    "multipart/x-mixed-replace",
    "application/grpc",
    "application/grpc-web",
];

/// `true` if a response gets smaller by a coding, for a client that accepts one.
pub(in crate::proxy) fn is_worth_it<B: Body>(
    options: &CompressionOptions,
    response: &Response<B>,
) -> bool {
    let headers = response.headers();
    !matches!(
        response.status(),
        StatusCode::SWITCHING_PROTOCOLS
            | StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
    ) && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !DIGESTS.iter().any(|name| headers.contains_key(*name))
        && !has_token(headers, &CACHE_CONTROL, "no-transform")
        && has_type(options, headers)
        && length(response).is_none_or(|length| length >= options.min_size as u64)
}

fn has_type(options: &CompressionOptions, headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim();
    let is_never = NEVER
        .iter()
        .any(|never| essence.eq_ignore_ascii_case(never))
        || essence
            .to_ascii_lowercase()
            .starts_with("application/grpc+");
    !is_never && options.types.iter().any(|range| range.has(essence))
}

/// The declared length comes first, for the answer to a HEAD has no other.
fn length<B: Body>(response: &Response<B>) -> Option<u64> {
    let declared = response.headers().get(CONTENT_LENGTH);
    match declared.map(|value| value.to_str().ok().and_then(|text| text.parse().ok())) {
        Some(declared) => declared,
        None => response
            .body()
            .size_hint()
            .exact()
            .filter(|length| *length > 0),
    }
}

/// Makes a response's head that of the coding. Without one, caches are told that others may get another response.
pub(in crate::proxy) fn set_head(headers: &mut HeaderMap, coding: Option<Coding>) {
    if !has_token(headers, &VARY, "accept-encoding") && !has_token(headers, &VARY, "*") {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        headers.remove(CONTENT_LENGTH);
        // Ranges would be of the bytes before the coding.
        headers.remove(ACCEPT_RANGES);
        weaken(headers);
    }
}

/// Two codings of a page are the same page, but not the same bytes (RFC 9110 section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG) else { return };
    if tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}
