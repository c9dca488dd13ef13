//! Input and outcome of the selection of a backend for one request.

use std::net::IpAddr;
use std::sync::Arc;

use crate::upstream::backend::{ClientShare, InFlight};

/// Worker and client of a request.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Number of the worker on which the request runs.
    pub worker: usize,
    /// Address of the client. It can be any address unless [`Upstream::uses_client_address`] is `true`.
    ///
    /// [`Upstream::uses_client_address`]: super::Upstream::uses_client_address
    pub client: IpAddr,
    /// Share of the client in the connections to backends, if it has a bound.
    pub share: Option<&'a Arc<ClientShare>>,
}

/// Facts about one request that the selection depends on.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    pub(super) caller: Caller<'a>,
    /// Backend that the client's cookie names.
    pub(super) preferred: Option<usize>,
    /// Backends that have already failed this request.
    pub(super) tried: Vec<usize>,
}

/// A selected backend, which already counts the request.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) backend: usize,
    pub(super) in_flight: InFlight,
}
