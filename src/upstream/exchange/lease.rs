//! Leases: the right of one request to use a connection.

use std::sync::Arc;

use tokio::time::Instant;

use super::bound_connections::{Bound, BoundConnections, BoundList};
use crate::http1::{Connection, Upgraded};
use crate::upstream::address::Address;
use crate::upstream::backend::InFlight;
use crate::upstream::body::{RequestBody, ResponseUnderWay};
use crate::upstream::connection::{Http1Connection, Http2Connection, PooledConnection, StreamSlot};
use crate::upstream::transport::BackendStream;

/// An HTTP/1.1 connection for one request, or a stream on a shared HTTP/2 connection.
#[derive(Debug)]
pub(in crate::upstream) enum Lease {
    Http1(Http1Lease),
    Http2(Http2Lease),
}

impl Lease {
    /// A lease of a pooled connection.
    pub(in crate::upstream) fn reused(pooled: PooledConnection, in_flight: InFlight) -> Self {
        match pooled {
            PooledConnection::Http1(connection, now) => {
                Self::Http1(Http1Lease::reused(connection, in_flight, now))
            }
            PooledConnection::Http2(http2) => Self::Http2(Http2Lease::new(http2, in_flight, true)),
        }
    }

    /// Address of the backend.
    pub(in crate::upstream) fn address(&self) -> &Address {
        match self {
            Self::Http1(lease) => lease.in_flight.address(),
            Self::Http2(lease) => lease.in_flight.address(),
        }
    }

    /// `true` for a stream of an HTTP/2 connection.
    pub(in crate::upstream) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// `true` if the connection has carried other requests before, so that the backend may be about to close it.
    pub(in crate::upstream) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(lease) => lease.is_reused,
            Self::Http2(lease) => lease.is_reused,
        }
    }
}

/// Lease of an HTTP/1.1 connection for one exchange.
///
/// Only [`Self::release`] keeps the connection. Dropping the lease closes it, so that the rest of a response can never
/// reach another request.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Lease {
    connection: Http1Connection,
    in_flight: InFlight,
    /// Time at which the request got the connection.
    began: Instant,
    is_reused: bool,
    is_last: bool,
    /// `true` if no request of another client may use the connection.
    is_private: bool,
    /// List to which the connection returns, if it belongs to the client's connection.
    owner: Option<BoundList>,
}

impl Http1Lease {
    fn reused(connection: Http1Connection, in_flight: InFlight, now: Instant) -> Self {
        Self {
            is_reused: true,
            ..Self::fresh(connection, in_flight, now)
        }
    }

    pub(super) fn fresh(connection: Http1Connection, in_flight: InFlight, now: Instant) -> Self {
        Self {
            connection,
            in_flight,
            began: now,
            is_reused: false,
            is_last: false,
            is_private: false,
            owner: None,
        }
    }

    /// A lease of a connection that belongs to the client's connection.
    pub(in crate::upstream) fn bound(
        bound: Bound,
        mut in_flight: InFlight,
        owner: &BoundList,
    ) -> Self {
        in_flight.hold(bound.held);
        Self {
            owner: Some(owner.clone()),
            ..Self::reused(bound.connection, in_flight, Instant::now())
        }
    }

    /// Leaves the connection to the client's connection, because its user may be logged in on it. If this is not
    /// possible, the exchange is its last one.
    pub(super) fn bind(&mut self, bound: Option<&BoundConnections>) {
        if self.owner.is_none() {
            self.owner = bound.map(|bound| bound.list_or_new().clone());
        }
        self.is_private = true;
    }

    pub(super) fn connection(&mut self) -> &mut Http1Connection {
        &mut self.connection
    }

    /// State of the exchange.
    pub(super) fn http(&self) -> &Connection<BackendStream, RequestBody> {
        self.connection.http()
    }

    /// Time at which the request got the connection.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub(in crate::upstream) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Makes this exchange the last one on the connection.
    pub(super) fn make_last(&mut self) {
        self.is_last = true;
    }

    /// Keeps the connection from requests of other clients.
    pub(super) fn make_private(&mut self) {
        self.is_private = true;
    }

    /// Returns the connection to the client's connection if it belongs to it, or to the pool, unless this was its last
    /// exchange. Must only be called after a complete response.
    pub(super) fn release(mut self) {
        if self.is_last {
            return;
        }
        match self.owner {
            Some(owner) => {
                let bound = Bound {
                    connection: self.connection,
                    held: self.in_flight.take_held(),
                };
                owner.keep(self.in_flight.lane(), bound);
            }
            None if self.is_private => {}
            None => {
                let unfinished = self.in_flight.pool().check_in(self.connection);
                if let Some(connection) = unfinished {
                    // The backend still gets the upload of the request.
                    let pool = self.in_flight.pool().clone();
                    pool.check_in_later(connection, self.in_flight);
                }
            }
        }
    }

    /// Closes the connection. The backend still counts the request.
    pub(super) fn into_in_flight(self) -> InFlight {
        self.in_flight
    }

    /// Leaves the connection to the protocol to which it has switched; `None` if it has not. The backend counts the request
    /// until the second value is dropped.
    pub(super) fn into_tunnel(self) -> Option<(Upgraded<BackendStream>, InFlight)> {
        Some((self.connection.into_upgraded()?, self.in_flight))
    }
}

/// Lease of one stream of a shared HTTP/2 connection. Dropping it before the end of the response resets the stream and
/// leaves the other streams alone.
#[derive(Debug)]
pub(in crate::upstream) struct Http2Lease {
    slot: Arc<StreamSlot>,
    in_flight: InFlight,
    is_reused: bool,
    /// Set while the response to an upload runs.
    under_way: Option<ResponseUnderWay>,
}

impl Http2Lease {
    pub(in crate::upstream) fn new(
        http2: Http2Connection,
        mut in_flight: InFlight,
        is_reused: bool,
    ) -> Self {
        // A shared connection counts for the client that has opened it.
        in_flight.hold(None);
        Self {
            slot: http2.open_stream(),
            in_flight,
            is_reused,
            under_way: None,
        }
    }

    pub(in crate::upstream) fn slot(&self) -> &Arc<StreamSlot> {
        &self.slot
    }

    /// Holds `under_way` until the end of the response.
    pub(in crate::upstream) fn hold(&mut self, under_way: Option<ResponseUnderWay>) {
        self.under_way = under_way;
    }

    pub(in crate::upstream) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Resets the stream. The backend still counts the request.
    pub(super) fn into_in_flight(self) -> InFlight {
        self.in_flight
    }
}
