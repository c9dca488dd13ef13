//! A failed exchange, and the facts that decide if the request may be sent again.

use http::Request;

use crate::upstream::backend::InFlight;
use crate::upstream::body::RequestBody;
use crate::upstream::error::Error;

/// An exchange that got no response.
#[derive(Debug)]
pub(in crate::upstream) struct Failure {
    pub(in crate::upstream) error: Error,
    /// The request, if it may be sent again with any method.
    pub(in crate::upstream) unsent: Option<Request<RequestBody>>,
    /// `true` if the backend has certainly not processed the request: no byte of it was sent, or the backend says so.
    pub(in crate::upstream) is_unprocessed: bool,
    /// `true` if the connection died before any byte of a response arrived.
    pub(in crate::upstream) is_silent: bool,
    /// `true` if the backend wants the request over HTTP/1.1.
    pub(in crate::upstream) needs_http1: bool,
    pub(in crate::upstream) in_flight: InFlight,
}

impl Failure {
    /// The failure of an exchange after the response time-out. The backend may have processed the request.
    pub(in crate::upstream) fn timed_out(in_flight: InFlight) -> Self {
        Self {
            error: Error::ResponseTimeout {
                backend: in_flight.address().clone(),
            },
            unsent: None,
            is_unprocessed: false,
            is_silent: false,
            needs_http1: false,
            in_flight,
        }
    }
}
