//! Exchange of one request and the head of its response on one connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::failure::Failure;
use super::http2_exchange::exchange_http2;
use super::lease::{Http1Lease, Lease};
use super::response_body::ResponseBody;
use super::response_timeout::poll_overdue;
use crate::upstream::body::{ExpectContinue, RequestBody, announce_upload};
use crate::upstream::error::Error;

/// Sends `request` and returns the response when its head has arrived. Fails if the backend makes no progress for
/// `limit`. Dropping the future closes an HTTP/1.1 connection, or resets the HTTP/2 stream.
pub(in crate::upstream) fn exchange(
    lease: Lease,
    request: Request<RequestBody>,
    limit: Duration,
) -> impl Future<Output = Result<Response<ResponseBody>, Failure>> {
    match lease {
        Lease::Http1(lease) => Either::Left(exchange_http1(lease, request, limit)),
        // Boxed, so that it does not enlarge the future of an HTTP/1.1 exchange.
        Lease::Http2(lease) => Either::Right(Box::pin(exchange_http2(lease, request, limit))),
    }
}

async fn exchange_http1(
    mut lease: Http1Lease,
    mut request: Request<RequestBody>,
    limit: Duration,
) -> Result<Response<ResponseBody>, Failure> {
    let expect_continue = announce_upload(&mut request);
    let progress = request.body().progress();
    let mut head = pin!(lease.connection().sender().try_send_request(request));
    lease.connection().timer().reset(Instant::now() + limit);
    let mut is_due = false;
    let outcome = poll_fn(|cx| {
        lease.connection().drive(cx);
        // The head only arrives when the driver reads it, and the driver already has the waker.
        let no_waker = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = head.as_mut().poll(no_waker) {
            return Poll::Ready(Some(outcome));
        }
        let timer = lease.connection().timer();
        if is_due && !timer.is_elapsed() {
            return Poll::Pending;
        }
        is_due = true;
        ready!(poll_overdue(timer, progress.as_ref(), limit, cx));
        Poll::Ready(None)
    });
    match outcome.await {
        Some(Ok(response)) => Ok(receive(response, lease, expect_continue)),
        Some(Err(error)) => Err(fail(error, lease)),
        None => Err(Failure::timed_out(lease.into_in_flight())),
    }
}

fn receive(
    response: Response<Incoming>,
    mut lease: Http1Lease,
    expect_continue: Option<ExpectContinue>,
) -> Response<ResponseBody> {
    if expect_continue.is_some_and(|expect_continue| expect_continue.answered(response.status())) {
        // The upload was not sent in full, so no other request may follow it.
        lease.make_last();
    }
    if response.version() == Version::HTTP_10 {
        // After an HTTP/1.0 response, hyper would send later uploads without chunked framing.
        lease.make_last();
    }
    let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    response.map(|incoming| {
        if incoming.is_end_stream() && !is_switch {
            let lane = Arc::clone(lease.in_flight().lane());
            lease.release();
            ResponseBody::ended(incoming, lane)
        } else {
            ResponseBody::http1(incoming, lease)
        }
    })
}

fn fail(mut error: TrySendError<Request<RequestBody>>, mut lease: Http1Lease) -> Failure {
    let is_silent = !lease.connection().has_received();
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
