//! One HTTP/1.1 connection to a backend, and the lease that a request has on it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::time::Sleep;
use tracing::debug;

use super::backend::InFlight;
use super::body::RequestBody;

/// Reads and writes a connection for as long as it is polled.
pub(super) type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// A connection that carries one request at a time. Dropping it closes it.
///
/// It has no task of its own: whoever waits for its response drives it, so that a request and its response never cross
/// from one task to another.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    /// `None` once the connection is over.
    driver: Option<Driver>,
    /// Whether a byte has arrived since the flag was last cleared.
    heard: Arc<AtomicBool>,
    /// One timer for all exchanges: moving it on is cheaper than making it.
    alarm: Pin<Box<Sleep>>,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<RequestBody>,
        driver: Driver,
        heard: Arc<AtomicBool>,
    ) -> Self {
        Self {
            sender,
            driver: Some(driver),
            heard,
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    /// Does what can be done now. What must be waited for wakes the task of `cx`.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        if let Poll::Ready(outcome) = driver.as_mut().poll(cx) {
            self.driver = None;
            if let Err(error) = outcome {
                debug!(%error, "upstream connection ended");
            }
        }
    }

    /// The same, so that nothing wakes a task any more.
    pub(super) fn drive_unheard(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether another request may be sent now.
    pub(super) fn is_ready(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Whether the connection stands, perhaps with an exchange that is not over.
    pub(super) fn is_open(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

/// The one exchange that a connection is used for.
///
/// A lease that is dropped instead of released takes the connection with it: what is left of the response must never meet
/// another request.
#[derive(Debug)]
pub(super) struct ConnectionLease {
    connection: Connection,
    in_flight: InFlight,
    is_reused: bool,
    is_last: bool,
}

impl ConnectionLease {
    pub(super) fn reused(connection: Connection, in_flight: InFlight) -> Self {
        connection.heard.store(false, Ordering::Relaxed);
        let mut lease = Self::fresh(connection, in_flight);
        lease.is_reused = true;
        lease
    }

    pub(super) fn fresh(connection: Connection, in_flight: InFlight) -> Self {
        Self {
            connection,
            in_flight,
            is_reused: false,
            is_last: false,
        }
    }

    /// Whether others have used it before.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether any byte has arrived since the lease began.
    pub(super) fn has_heard(&self) -> bool {
        self.connection.heard.load(Ordering::Acquire)
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(super) fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        &mut self.connection.sender
    }

    pub(super) fn alarm(&mut self) -> Pin<&mut Sleep> {
        self.connection.alarm.as_mut()
    }

    pub(super) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Lets no other request have the connection.
    pub(super) fn make_last(&mut self) {
        self.is_last = true;
    }

    /// Gives the connection back after a response that ended as it should.
    pub(super) fn release(mut self) {
        if self.is_last {
            return;
        }
        if !self.connection.is_ready() {
            self.connection.drive_unheard();
        }
        self.in_flight.pool().check_in(self.connection);
    }

    /// Gives the connection up while the backend still counts as busy: it is cut.
    pub(super) fn into_in_flight(self) -> InFlight {
        self.in_flight
    }

    /// Leaves the connection to the protocol that it switches to.
    pub(super) fn into_tunnel(self) -> InFlight {
        self.in_flight.pool().see_off(self.connection);
        self.in_flight
    }
}
