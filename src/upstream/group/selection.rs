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
pub(in crate::upstream) struct Selection {
    pub(in crate::upstream) caller: Caller,
    /// The backend that the client's cookie names.
    pub(in crate::upstream) preferred: Option<usize>,
    /// Backends that have failed the request.
    pub(in crate::upstream) tried: Vec<usize>,
}

/// A selected backend, at which the request is counted.
#[derive(Debug)]
pub(in crate::upstream) struct Selected {
    pub(in crate::upstream) backend: usize,
    pub(in crate::upstream) in_flight: InFlight,
}
