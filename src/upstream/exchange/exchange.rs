//! Exchange of one request and the head of its response on one connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::future::Either;
use http::header::WWW_AUTHENTICATE;
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::bound_connections::BoundConnections;
use super::connection_login::has_connection_login;
use super::failure::Failure;
use super::http2_exchange::exchange_http2;
use super::lease::{Http1Lease, Lease};
use super::response_body::ResponseBody;
use super::response_timeout::poll_overdue;
use crate::upstream::body::{ExpectContinue, RequestBody, UploadProgress, announce_upload};
use crate::upstream::error::Error;

/// Terms of one exchange.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct ExchangeTerms<'c> {
    /// Maximum time without progress until the head of the response.
    pub(in crate::upstream) limit: Duration,
    /// Connections that belong to the client's connection; `None` if it carries requests of many users.
    pub(in crate::upstream) bound: Option<&'c BoundConnections>,
    /// `true` if the request has a login for its connection.
    pub(in crate::upstream) has_connection_login: bool,
}

/// Sends `request` and returns the response when its head has arrived. Fails if the backend makes no progress in
/// time. Dropping the future closes an HTTP/1.1 connection, or resets the HTTP/2 stream.
pub(in crate::upstream) fn exchange(
    lease: Lease,
    request: Request<RequestBody>,
    terms: ExchangeTerms<'_>,
) -> impl Future<Output = Result<Response<ResponseBody>, Failure>> {
    match lease {
        Lease::Http1(lease) => Either::Left(exchange_http1(lease, request, terms)),
        // Boxed, so that it does not enlarge the future of an HTTP/1.1 exchange.
        Lease::Http2(lease) => Either::Right(Box::pin(exchange_http2(lease, request, terms.limit))),
    }
}

async fn exchange_http1(
    mut lease: Http1Lease,
    mut request: Request<RequestBody>,
    terms: ExchangeTerms<'_>,
) -> Result<Response<ResponseBody>, Failure> {
    let limit = terms.limit;
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
        Some(Ok(response)) if is_early_switch(&response, progress.as_ref()) => {
            Err(Failure::early_switch(lease.into_in_flight()))
        }
        Some(Ok(response)) => {
            if terms.has_connection_login || asks_for_connection_login(&response) {
                lease.bind(terms.bound);
            }
            Ok(receive(response, lease, expect_continue))
        }
        Some(Err(error)) => Err(fail(error, lease)),
        None => Err(Failure::timed_out(lease.into_in_flight())),
    }
}

/// `true` if the backend switches protocols before it has the whole request. The rest of the body would look like bytes
/// of the new protocol.
fn is_early_switch(response: &Response<Incoming>, progress: Option<&UploadProgress>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
        && progress.is_some_and(|progress| !progress.is_complete())
}

fn asks_for_connection_login(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        && has_connection_login(response.headers(), &WWW_AUTHENTICATE)
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
        needs_http1: false,
        error: Error::exchange(in_flight.address(), error.into_error()),
        in_flight,
    }
}
