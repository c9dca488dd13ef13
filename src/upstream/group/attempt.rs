//! The attempts of one request at one backend after another.

use http::Request;

use super::backend_set::BackendSet;
use super::selection::{Selected, Selection};
use crate::upstream::body::RequestBody;
use crate::upstream::exchange::{Failure, Lease};

/// Number of backends to which one request may try to connect.
const MAX_CONNECT_ATTEMPTS: usize = 3;

/// A backend and a connection to it, on which a request is sent.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) backend: usize,
    pub(super) lease: Lease,
}

/// An attempt that brought no response.
#[derive(Debug)]
pub(super) struct FailedAttempt {
    pub(super) backend: usize,
    /// `true` if other requests had used the connection before.
    pub(super) is_reused: bool,
    pub(super) failure: Failure,
    /// A copy of the request, if it may be sent twice.
    pub(super) copy: Option<Request<RequestBody>>,
}

/// All attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    pub(super) backends: &'a BackendSet,
    pub(super) selection: Selection,
    /// `true` if the request may switch protocols.
    pub(super) is_upgrade: bool,
    /// Number of retries so far.
    pub(super) retries: u16,
    /// PROXY header with which each of its connections begins, if the backends want one.
    pub(super) proxy_header: Option<Vec<u8>>,
}

impl Attempts<'_> {
    /// Takes an idle connection to the selected backend, if there is one and the request may have it.
    pub(super) fn reuse(&self, selected: Selected) -> Result<Attempt, Selected> {
        let Selected { backend, in_flight } = selected;
        let pool = in_flight.pool();
        let may_reuse = self.proxy_header.is_none();
        let pooled = may_reuse.then(|| pool.check_out(in_flight.address(), self.is_upgrade));
        match pooled.flatten() {
            Some(pooled) => Ok(Attempt {
                backend,
                lease: Lease::reused(pooled, in_flight),
            }),
            None => Err(Selected { backend, in_flight }),
        }
    }

    /// `true` if there is a backend that the request may still try.
    pub(super) fn may_try_another(&self) -> bool {
        let count = self.backends.as_slice().len();
        self.selection.tried.len() < count.min(MAX_CONNECT_ATTEMPTS)
    }
}
