//! The selection of a backend for one request: what it depends on, and its outcome.

use std::net::IpAddr;

use crate::upstream::backend::InFlight;

/// Sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Number of the worker that the request runs on.
    pub worker: usize,
    /// Address of the client that it is for. Any address will do unless [`Upstream::uses_client_address`].
    ///
    /// [`Upstream::uses_client_address`]: super::Upstream::uses_client_address
    pub client: IpAddr,
}

/// Facts about one request on which the selection depends.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) caller: Caller,
    /// The backend that the client's cookie names.
    pub(super) preferred: Option<usize>,
    /// Backends that have failed the request.
    pub(super) tried: Vec<usize>,
}

/// A selected backend, at which the request is counted.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) backend: usize,
    pub(super) in_flight: InFlight,
}
