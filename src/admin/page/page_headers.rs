//! Responses of the page, with the header fields that keep other sites from using them.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Serialize;

use super::page_documents::Document;
use super::page_rows::json;

/// A body of a response.
pub(super) type PageBody = UnsyncBoxBody<Bytes, Infallible>;

/// Header fields of every response.
const FIELDS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Policy of a response that is no document.
const NO_DOCUMENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// Returns a response with this body.
pub(super) fn respond(
    status: StatusCode,
    media_type: &'static str,
    body: PageBody,
) -> Response<PageBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in FIELDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::from_static(NO_DOCUMENT);
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// Returns a document.
pub(super) fn document(status: StatusCode, document: &Document) -> Response<PageBody> {
    let body = whole(document.html.clone());
    let mut response = respond(status, "text/html; charset=utf-8", body);
    let policy = document.policy.clone();
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// Returns a sentence.
pub(super) fn text(status: StatusCode, sentence: &'static str) -> Response<PageBody> {
    let body = whole(format!("{sentence}\n"));
    respond(status, "text/plain; charset=utf-8", body)
}

/// Returns a value as JSON.
pub(super) fn json_value(status: StatusCode, value: &impl Serialize) -> Response<PageBody> {
    respond(status, "application/json", whole(json(value)))
}

fn whole(body: impl Into<Bytes>) -> PageBody {
    Full::new(body.into()).boxed_unsync()
}
