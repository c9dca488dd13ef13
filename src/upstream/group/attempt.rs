//! Attempts to send one request, each at one backend.

use http::Request;

use super::backend_set::BackendSet;
use super::selected_backend::{Caller, Selected, Selection};
use crate::name::HostName;
use crate::upstream::backend::HeldConnection;
use crate::upstream::body::RequestBody;
use crate::upstream::exchange::{Dialer, Failure, Http1Lease, Lease};

/// Maximum number of backends that one request tries.
const MAX_CONNECT_ATTEMPTS: usize = 3;

/// A backend, and the connection to it on which the request is sent.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) backend: usize,
    pub(super) lease: Lease,
}

/// An attempt that got no response.
#[derive(Debug)]
pub(super) struct FailedAttempt {
    pub(super) backend: usize,
    /// `true` if the connection had carried other requests before.
    pub(super) is_reused: bool,
    pub(super) failure: Failure,
    /// Copy of the request, if it may be sent twice.
    pub(super) copy: Option<Request<RequestBody>>,
}

/// All attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    pub(super) backends: &'a BackendSet,
    pub(super) selection: Selection<'a>,
    pub(super) dialer: &'a Dialer,
    /// Counts the connection of the request for its client.
    pub(super) held: Option<HeldConnection>,
    /// `true` if the request asks for an upgrade, and so needs an HTTP/1.1 connection.
    pub(super) is_upgrade: bool,
    /// Number of retries so far.
    pub(super) retries: u16,
    /// PROXY header at the start of each connection, if the backends want one.
    pub(super) proxy_header: Option<Vec<u8>>,
    /// Host that TLS handshakes name, if it is that of the request.
    pub(super) server_name: Option<HostName>,
}

impl Attempts<'_> {
    /// Takes a connection that belongs to the client's connection, if there is one to a backend with room.
    pub(super) fn bound(&self) -> Option<Attempt> {
        let Caller { worker, bound, .. } = self.selection.caller;
        let list = bound?.list()?;
        let backends = self.backends.as_slice().iter().enumerate();
        for (index, backend) in backends.filter(|(_, backend)| !backend.is_down()) {
            let Some(connection) = list.take(backend.lane(worker)) else {
                continue;
            };
            let is_for_name = connection.server_name() == self.server_name.as_ref();
            match self.backends.enter(index, worker).filter(|_| is_for_name) {
                None => list.keep(backend.lane(worker), connection),
                Some(Selected { backend, in_flight }) => {
                    let lease = Http1Lease::bound(connection, in_flight, list);
                    return Some(Attempt {
                        backend,
                        lease: Lease::Http1(lease),
                    });
                }
            }
        }
        None
    }

    /// Counts a connection to the selected backend for the client, if it carries only this request. Returns `false` if the
    /// client has its share already.
    pub(super) fn hold_connection(&mut self, selected: &Selected) -> bool {
        let Some(share) = self.selection.caller.share else {
            return true;
        };
        let in_flight = &selected.in_flight;
        let is_alone = self.is_upgrade || self.proxy_header.is_some();
        let is_shared = || !is_alone && in_flight.pool().is_shared(in_flight.address());
        if self.held.is_none() && !is_shared() {
            self.held = share.take(self.dialer.free());
            return self.held.is_some();
        }
        true
    }

    /// Takes a pooled connection to the selected backend. Returns `Err` with the selection if there is none, if the client
    /// has its share of connections, or if the request needs a new one because of its PROXY header.
    pub(super) fn reuse(&mut self, selected: Selected) -> Result<Attempt, Selected> {
        if !self.hold_connection(&selected) {
            return Err(selected);
        }
        let Selected { backend, in_flight } = selected;
        let pool = in_flight.pool();
        let may_reuse = self.proxy_header.is_none();
        let server_name = self.server_name.as_ref();
        let pooled = may_reuse
            .then(|| pool.check_out(in_flight.address(), self.is_upgrade, server_name))
            .flatten();
        match pooled {
            Some(pooled) => Ok(Attempt {
                backend,
                lease: Lease::reused(pooled, in_flight),
            }),
            None => Err(Selected { backend, in_flight }),
        }
    }

    /// `true` if there is another backend that the request may try.
    pub(super) fn may_try_another(&self) -> bool {
        let count = self.backends.as_slice().len();
        self.selection.tried.len() < count.min(MAX_CONNECT_ATTEMPTS)
    }
}
