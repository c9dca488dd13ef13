//! One request and its response's head on one connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, Sleep};

use super::backend::InFlight;
use super::body::{RequestBody, ResponseBody};
use super::connection::ConnectionLease;
use super::error::Error;
use super::expectation::Expectation;
use super::http2;
use super::lease::Lease;
use super::pulse::Pulse;

/// The most that a response's head may take.
pub(super) const HEAD_SIZE: usize = 64 * 1024;

/// An exchange that brought no response, and what may follow.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// The request, when it may be sent again whatever its method.
    pub(super) unsent: Option<Request<RequestBody>>,
    /// Whether the backend has surely not begun with it: not a byte of it was sent, or the backend says so.
    pub(super) is_unprocessed: bool,
    /// Whether the connection died before any byte of a response.
    pub(super) is_silent: bool,
    pub(super) in_flight: InFlight,
}

/// Sends `request` and waits up to `limit` for the response's head. Dropping the future cuts the connection, or resets
/// the stream where others share the connection.
pub(super) fn exchange(
    lease: Lease,
    request: Request<RequestBody>,
    limit: Duration,
) -> impl Future<Output = Result<Response<ResponseBody>, Failure>> {
    match lease {
        Lease::Connection(lease) => Either::Left(exchange_alone(lease, request, limit)),
        // Boxed, so that requests on a connection of their own carry no room for it.
        Lease::Stream(lease) => Either::Right(Box::pin(http2::exchange(lease, request, limit))),
    }
}

async fn exchange_alone(
    mut lease: ConnectionLease,
    mut request: Request<RequestBody>,
    limit: Duration,
) -> Result<Response<ResponseBody>, Failure> {
    let expectation = Expectation::announce(&mut request);
    let pulse = request.body().pulse();
    let mut head = pin!(lease.sender().try_send_request(request));
    lease.alarm().reset(Instant::now() + limit);
    let mut is_alarmed = false;
    let outcome = poll_fn(|cx| {
        lease.connection().drive(cx);
        // Only the driver brings the head about, so it need not wake anybody.
        let unheard = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = head.as_mut().poll(unheard) {
            return Poll::Ready(Some(outcome));
        }
        let alarm = lease.alarm();
        if is_alarmed && !alarm.is_elapsed() {
            return Poll::Pending;
        }
        is_alarmed = true;
        ready!(poll_overdue(alarm, pulse.as_ref(), limit, cx));
        Poll::Ready(None)
    });
    match outcome.await {
        Some(Ok(response)) => Ok(receive(response, lease, expectation)),
        Some(Err(error)) => Err(fail(error, lease)),
        None => Err(late(lease)),
    }
}

/// Is ready when the backend has been idle for `limit`; an upload that moves, or whose client is the one to move, holds
/// the clock.
pub(super) fn poll_overdue(
    mut alarm: Pin<&mut Sleep>,
    pulse: Option<&Pulse>,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        ready!(alarm.as_mut().poll(cx));
        let deadline = pulse.map(|pulse| pulse.last() + limit);
        match deadline.filter(|deadline| *deadline > Instant::now()) {
            Some(deadline) => alarm.as_mut().reset(deadline),
            None => return Poll::Ready(()),
        }
    }
}

fn receive(
    response: Response<Incoming>,
    mut lease: ConnectionLease,
    expectation: Option<Expectation>,
) -> Response<ResponseBody> {
    if expectation.is_some_and(|expectation| expectation.answered(response.status())) {
        // It stands in the middle of a request.
        lease.make_last();
    }
    if response.version() == Version::HTTP_10 {
        // A connection that has spoken HTTP/1.0 would send later uploads without their chunked framing.
        lease.make_last();
    }
    let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    response.map(|incoming| match incoming.is_end_stream() && !is_switch {
        true => {
            let lane = Arc::clone(lease.in_flight().lane());
            lease.release();
            ResponseBody::ended(incoming, lane)
        }
        false => ResponseBody::new(incoming, lease),
    })
}

fn late(lease: ConnectionLease) -> Failure {
    let in_flight = lease.into_in_flight();
    Failure {
        error: Error::ResponseTimeout {
            backend: in_flight.address().clone(),
        },
        unsent: None,
        is_unprocessed: false,
        is_silent: false,
        in_flight,
    }
}

fn fail(mut error: TrySendError<Request<RequestBody>>, lease: ConnectionLease) -> Failure {
    let is_silent = !lease.has_heard();
    let in_flight = lease.into_in_flight();
    let unsent = error.take_message();
    Failure {
        is_unprocessed: unsent.is_some(),
        unsent,
        is_silent,
        error: Error::exchange(in_flight.address(), error.into_error()),
        in_flight,
    }
}
