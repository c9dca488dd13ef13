//! The rules that decide which responses are compressed, and the head of a compressed one.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;

use super::coding::Coding;
use super::options::CompressionOptions;
use crate::proxy::request::hop_by_hop::has_token;
use crate::proxy::request::single_field;

/// Fields with a digest of a body's bytes, which compression would invalidate.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];
/// Streaming types whose parts must arrive when they are sent, or that compress their parts themselves.
const NEVER: [&str; 4] = [
    "text/event-stream",
    "multipart/x-mixed-replace",
    "application/grpc",
    "application/grpc-web",
];

/// `true` if a response may be compressed and is likely to become smaller. The client's preference is not considered.
pub(crate) fn is_compressible<B: Body>(
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
    let Some(value) = single_field(headers, &CONTENT_TYPE) else {
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
    !is_never && options.types.iter().any(|range| range.includes(essence))
}

/// Length of the body. The declared one comes first, since a response to HEAD has no other.
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

/// Adapts the head of a compressible response to `coding`. Without a coding, it only tells caches that the response
/// varies.
pub(crate) fn set_head(headers: &mut HeaderMap, coding: Option<Coding>) {
    set_vary(headers);
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        headers.remove(CONTENT_LENGTH);
        // Ranges would refer to the uncompressed bytes.
        headers.remove(ACCEPT_RANGES);
        weaken(headers);
    }
}

/// Tells caches that the response varies by the codings that a client accepts.
pub(super) fn set_vary(headers: &mut HeaderMap) {
    if !has_token(headers, &VARY, "accept-encoding") && !has_token(headers, &VARY, "*") {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// Makes the entity tag weak: two codings of a page are equivalent, but not the same bytes (RFC 9110 section 8.8.1).
pub(super) fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG) else { return };
    if tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}
