//! A failed exchange, with what is needed to send the request again.

use http::Request;

use crate::upstream::backend::InFlight;
use crate::upstream::body::RequestBody;
use crate::upstream::error::Error;

/// An exchange that brought no response.
#[derive(Debug)]
pub(in crate::upstream) struct Failure {
    pub(in crate::upstream) error: Error,
    /// The request, if it may be sent again whatever its method.
    pub(in crate::upstream) unsent: Option<Request<RequestBody>>,
    /// `true` if the backend has surely not begun with it: not a byte of it was sent, or the backend says so.
    pub(in crate::upstream) is_unprocessed: bool,
    /// `true` if the connection died before any byte of a response.
    pub(in crate::upstream) is_silent: bool,
    pub(in crate::upstream) in_flight: InFlight,
}

impl Failure {
    /// The response time-out is over. The backend may have begun with the request.
    pub(in crate::upstream) fn late(in_flight: InFlight) -> Self {
        Self {
            error: Error::ResponseTimeout {
                backend: in_flight.address().clone(),
            },
            unsent: None,
            is_unprocessed: false,
            is_silent: false,
            in_flight,
        }
    }
}
