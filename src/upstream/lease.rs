//! What one request has of a backend while it is served.

use super::address::Address;
use super::backend::InFlight;
use super::connection::{Connection, ConnectionLease};
use super::http2::{Http2, StreamLease};

/// A connection for the request alone, or room for a stream on one that others use too.
#[derive(Debug)]
pub(super) enum Lease {
    Connection(ConnectionLease),
    Stream(StreamLease),
}

/// What waits in a pool for a request.
#[derive(Debug)]
pub(super) enum Waiting {
    Connection(Connection),
    Stream(Http2),
}

impl Lease {
    pub(super) fn reused(waiting: Waiting, in_flight: InFlight) -> Self {
        match waiting {
            Waiting::Connection(connection) => {
                Self::Connection(ConnectionLease::reused(connection, in_flight))
            }
            Waiting::Stream(http2) => Self::Stream(StreamLease::new(http2, in_flight, true)),
        }
    }

    fn in_flight(&self) -> &InFlight {
        match self {
            Self::Connection(lease) => lease.in_flight(),
            Self::Stream(lease) => lease.in_flight(),
        }
    }

    /// The backend.
    pub(super) fn address(&self) -> &Address {
        self.in_flight().address()
    }

    /// Whether others have used the connection before, so that it may be about to close.
    pub(super) fn is_reused(&self) -> bool {
        match self {
            Self::Connection(lease) => lease.is_reused(),
            Self::Stream(lease) => lease.is_reused(),
        }
    }
}
