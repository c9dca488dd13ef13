//! Input and outcome of the selection of a backend for one request.

use std::net::IpAddr;
use std::sync::Arc;

use crate::figures::RequestFigures;
use crate::traces::SampledTrace;
use crate::upstream::backend::{ClientShare, InFlight};
use crate::upstream::exchange::BoundConnections;

/// Worker and client of a request.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'c> {
    /// Number of the worker on which the request runs.
    pub worker: usize,
    /// Address of the client. It can be any address unless [`Upstream::uses_client_address`] is `true`.
    ///
    /// [`Upstream::uses_client_address`]: super::Upstream::uses_client_address
    pub client: IpAddr,
    /// Share of the client in the connections to backends, if it has a bound.
    pub share: Option<&'c Arc<ClientShare>>,
    /// Host that the client asks for, without its port.
    pub host: &'c str,
    /// Connections that belong to the client's connection; `None` if it carries requests of many users.
    pub bound: Option<&'c BoundConnections>,
    /// `true` if the request has a login for its connection, as in [`has_connection_login`].
    ///
    /// [`has_connection_login`]: crate::upstream::has_connection_login
    pub has_connection_login: bool,
    /// Path of the field Destination, which needs the scheme and host of the backend.
    pub dav_destination: Option<&'c str>,
    /// `true` if the client's own connection uses TLS. It can be any value unless [`Upstream::uses_cookies`] is `true`.
    ///
    /// [`Upstream::uses_cookies`]: super::Upstream::uses_cookies
    pub is_secure: bool,
    /// Figures that count the time until the head of the response.
    pub figures: Option<&'c RequestFigures>,
    /// Trace that records the attempts, if it is sampled.
    pub trace: Option<&'c SampledTrace>,
}

/// Facts about one request that the selection depends on.
#[derive(Debug)]
pub(super) struct Selection<'c> {
    pub(super) caller: Caller<'c>,
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
