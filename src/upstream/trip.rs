//! A request's way from backend to backend.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::backend::InFlight;
use super::connect::connect;
use super::connection::Lease;
use super::error::Error;
use super::options::Options;

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The number of the runtime that it runs on.
    pub worker: usize,
    /// The address of the client that it is for. That of any other does where the upstream does not tell clients apart.
    pub client: IpAddr,
}

/// What a request has been through.
#[derive(Debug)]
pub(super) struct Trip {
    pub(super) caller: Caller,
    /// The backend that the client's cookie names.
    pub(super) wanted: Option<usize>,
    /// Those that have failed it.
    pub(super) tried: Vec<usize>,
    pub(super) retries: u16,
    /// What each of its connections begins with, where backends are told of their clients.
    pub(super) greeting: Option<Vec<u8>>,
}

/// A backend that a request is counted at.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) backend: usize,
    pub(super) in_flight: InFlight,
}

impl Stop {
    /// The backend and a connection to it that waits for a request, if there is one and the trip may have it.
    pub(super) fn reuse(self, trip: &Trip) -> Result<(usize, Lease), Self> {
        if trip.greeting.is_some() {
            return Err(self);
        }
        match self.in_flight.pool().check_out() {
            Some(connection) => Ok((self.backend, Lease::reused(connection, self.in_flight))),
            None => Err(self),
        }
    }
}

/// A new connection to the backend that `in_flight` counts at. One that begins with a `greeting` belongs to the client
/// that it is opened for, and carries one request only.
pub(super) async fn open_connection(
    in_flight: InFlight,
    options: &Options,
    places: &Arc<Semaphore>,
    greeting: Option<&[u8]>,
) -> Result<Lease, Error> {
    let (address, timeout) = (in_flight.address(), options.connect_timeout);
    let connection = connect(address, timeout, places, greeting).await?;
    let mut lease = Lease::fresh(connection, in_flight);
    if greeting.is_some() {
        lease.make_last();
    }
    Ok(lease)
}
