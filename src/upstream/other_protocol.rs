//! Backends that speak another protocol than the one of their address, and what to write instead.

use crate::http1;
use crate::upstream::address::Address;

/// Says what to write if the backend speaks another protocol than the one of its address.
pub(super) fn other_protocol(
    backend: &Address,
    error: &(dyn std::error::Error + Send + Sync + 'static),
) -> Option<String> {
    let authority = backend.authority();
    let is_no_http = matches!(error.downcast_ref(), Some(http1::Error::Head(_)));
    // A TLS server answers a request in plain text with an alert.
    if is_no_http && backend.may_speak_tls() {
        Some(format!(
            "backend {backend} sent something that is not HTTP; write `https://{authority}` if it speaks HTTPS there"
        ))
    } else if is_no_http2(error) && backend.may_speak_other_http() {
        Some(format!(
            "backend {backend} does not speak HTTP/2; write `http://{authority}` for HTTP/1.1, or `https://{authority}` for HTTPS"
        ))
    } else {
        None
    }
}

/// `true` if what came has no frames. The first letters of a response over HTTP/1.1 read as the length of a huge frame.
fn is_no_http2(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<hyper::Error>();
    let error = error
        .and_then(std::error::Error::source)
        .and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        !error.is_remote() && error.reason() == Some(h2::Reason::FRAME_SIZE_ERROR)
    })
}
