//! A request's way from backend to backend.

use std::net::IpAddr;

use super::backend::InFlight;
use super::lease::Lease;
use super::roster::Roster;

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
pub(super) struct Trip<'a> {
    pub(super) roster: &'a Roster,
    pub(super) caller: Caller,
    /// Whether it may switch protocols.
    pub(super) is_upgrade: bool,
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
    pub(super) fn reuse(self, trip: &Trip<'_>) -> Result<(usize, Lease), Self> {
        if trip.greeting.is_some() {
            return Err(self);
        }
        let (pool, address) = (self.in_flight.pool(), self.in_flight.address());
        match pool.check_out(address, trip.is_upgrade) {
            Some(waiting) => Ok((self.backend, Lease::reused(waiting, self.in_flight))),
            None => Err(self),
        }
    }
}
