//! The last steps that every response goes through.

use http::header::{ALT_SVC, CONNECTION, CONTENT_LENGTH, STRICT_TRANSPORT_SECURITY};
use http::{HeaderValue, Method, Response, Version};
use http_body::Body as _;

use crate::proxy::body::Body;
use crate::proxy::error::Error;
use crate::proxy::request::{HeaderScan, RequestContext, framing, hop_by_hop};
use crate::upstream::ResponseBody;

/// Frames a backend's response for the client, and removes the fields of the backend's connection.
pub(crate) fn pass_back(
    mut response: Response<ResponseBody>,
    method: &Method,
) -> Result<Response<Body>, Error> {
    let scan = HeaderScan::of(response.headers());
    framing::frame_response(&mut response, scan, method)?;
    hop_by_hop::strip_hop_by_hop(response.headers_mut(), scan);
    *response.version_mut() = Version::HTTP_11;
    Ok(response.map(Body::upstream))
}

/// Tells an HTTP/1.1 client to close the connection, because nobody asked for its upload.
pub(crate) fn close_connection(response: &mut Response<Body>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

/// Removes the body of a response to HEAD, which HTTP/2 would send otherwise.
pub(crate) fn without_body(mut response: Response<Body>) -> Response<Body> {
    let Some(length) = response.body().size_hint().exact() else {
        return response.map(|_| Body::empty());
    };
    if length > 0 {
        let fields = response.headers_mut();
        fields.entry(CONTENT_LENGTH).or_insert(length.into());
        *response.body_mut() = Body::empty();
    }
    response
}

/// Sets Strict-Transport-Security and Alt-Svc, and hands the access log entry and the figures over to the body, with which they end.
pub(crate) fn complete(response: &mut Response<Body>, context: RequestContext<'_>) {
    if let Some(hsts) = context.hsts {
        let fields = response.headers_mut();
        fields.entry(STRICT_TRANSPORT_SECURITY).or_insert(hsts);
    }
    if let Some(alt_svc) = context.conn.alt_svc() {
        response.headers_mut().insert(ALT_SVC, alt_svc.clone());
    }
    if let Some(mut entry) = context.entry {
        entry.answered(response.status(), !response.body().is_end_stream());
        response.body_mut().log(Some(entry));
    }
    if let Some(mut counted) = context.counted {
        counted.answered(response.status());
        response.body_mut().count(Some(counted));
    }
}
