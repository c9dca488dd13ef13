//! Receivers of the interim responses of HTTP/1.1 backends.

use http::header::EXPECT;
use http::{HeaderValue, Request, Response, StatusCode};

use super::expect_continue::ExpectContinue;
use super::interim::Interims;
use super::request_body::RequestBody;

/// Passes the interim responses to `request` on to `interims`.
pub fn listen_for_interims(request: &mut Request<RequestBody>, interims: &Interims) {
    request.body_mut().set_interims(interims);
    request.extensions_mut().insert(interims.clone());
}

/// Receivers of the interim responses to one request.
#[derive(Debug)]
pub(in crate::upstream) struct InterimListener {
    /// State of an upload that the backend has to ask for.
    expect_continue: Option<ExpectContinue>,
    interims: Option<Interims>,
}

impl InterimListener {
    /// The receivers of a request for an HTTP/1.1 backend. Adds `Expect: 100-continue` to the request if the client waits
    /// to be asked for its upload.
    pub(in crate::upstream) fn announce(request: &mut Request<RequestBody>) -> Self {
        let expect_continue = request.body().expect_continue().cloned();
        if let Some(expect_continue) = &expect_continue {
            expect_continue.announce();
            let expectation = HeaderValue::from_static("100-continue");
            request.headers_mut().insert(EXPECT, expectation);
        }
        Self {
            expect_continue,
            interims: request.extensions().get::<Interims>().cloned(),
        }
    }

    /// Records an interim response.
    pub(in crate::upstream) fn record(&self, interim: &Response<()>) {
        match (&self.expect_continue, &self.interims) {
            (Some(expect_continue), _) if interim.status() == StatusCode::CONTINUE => {
                expect_continue.ask();
            }
            (_, Some(interims)) => interims.record(interim.status(), interim.headers()),
            (_, None) => {}
        }
    }

    /// Records the final response. Returns `true` if it has arrived before the backend asked for the upload.
    pub(in crate::upstream) fn is_early(&self, status: StatusCode) -> bool {
        let expect_continue = self.expect_continue.as_ref();
        expect_continue.is_some_and(|expect_continue| expect_continue.answered(status))
    }
}
