//! Callbacks for hyper that record the interim responses of HTTP/1.1 backends.

use http::header::EXPECT;
use http::{HeaderValue, Request, StatusCode};

use super::expect_continue::ExpectContinue;
use super::interim::Interims;
use super::request_body::RequestBody;

/// Passes the interim responses to `request` on to `interims`.
pub fn listen_for_interims(request: &mut Request<RequestBody>, interims: &Interims) {
    request.body_mut().set_interims(interims);
    let interims = interims.clone();
    hyper::ext::on_informational(request, move |interim| {
        interims.record(interim.status(), interim.headers());
    });
}

/// Adds `Expect: 100-continue` to a request for an HTTP/1.1 backend, if the client waits to be asked for its upload.
pub(in crate::upstream) fn announce_upload(
    request: &mut Request<RequestBody>,
) -> Option<ExpectContinue> {
    let expect_continue = request.body().expect_continue()?.clone();
    expect_continue.announce();
    let fields = request.headers_mut();
    fields.insert(EXPECT, HeaderValue::from_static("100-continue"));
    let (asked, interims) = (expect_continue.clone(), request.body().interims().cloned());
    hyper::ext::on_informational(request, move |interim| {
        if interim.status() == StatusCode::CONTINUE {
            asked.ask();
        } else if let Some(interims) = &interims {
            interims.record(interim.status(), interim.headers());
        }
    });
    Some(expect_continue)
}
