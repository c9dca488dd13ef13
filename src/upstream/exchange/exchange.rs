//! Exchange of one request and the head of its response on one connection.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, ready};

use futures_util::future::Either;
use http::header::WWW_AUTHENTICATE;
use http::{Request, Response, StatusCode};

use super::connection_login::has_connection_login;
use super::exchange_terms::ExchangeTerms;
use super::failure::Failure;
use super::http2_exchange::exchange_http2;
use super::lease::{Http1Lease, Lease};
use super::response_body::ResponseBody;
use super::response_timeout::poll_overdue;
use crate::http1::{self, ExchangeError, ResponseHead};
use crate::upstream::body::{InterimListener, RequestBody};
use crate::upstream::error::{BodyError, Error};

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
        Lease::Http2(lease) => Either::Right(Box::pin(exchange_http2(lease, request, terms))),
    }
}

async fn exchange_http1(
    mut lease: Http1Lease,
    mut request: Request<RequestBody>,
    terms: ExchangeTerms<'_>,
) -> Result<Response<ResponseBody>, Failure> {
    let limit = terms.limit;
    let listener = InterimListener::announce(&mut request);
    let progress = request.body().progress();
    // A pooled connection was checked when it was taken out of its pool.
    if !lease.is_reused() && !lease.connection().check() {
        return Err(unsent(request, lease));
    }
    lease.connection().http_mut().send(request);
    let began = lease.began();
    lease.connection().timer().reset(began + limit);
    let mut is_due = false;
    let outcome = poll_fn(|cx| {
        loop {
            match lease.connection().http_mut().poll_head(cx) {
                Poll::Ready(Ok(ResponseHead::Interim(interim))) => listener.record(&interim),
                Poll::Ready(Ok(ResponseHead::Final(head))) => return Poll::Ready(Some(Ok(head))),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => break,
            }
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
        Some(Ok(head)) => {
            terms.count(lease.in_flight().lane(), head.status(), began);
            if terms.has_connection_login || asks_for_connection_login(&head) {
                lease.bind(terms.bound);
            }
            if listener.is_early(head.status()) {
                // The upload was not sent in full, so no other request may follow it.
                lease.make_last();
            }
            Ok(receive(head, lease))
        }
        Some(Err(error)) => Err(fail(error, lease)),
        None => Err(Failure::timed_out(lease.into_in_flight())),
    }
}

fn asks_for_connection_login(head: &Response<()>) -> bool {
    has_connection_login(head.headers(), &WWW_AUTHENTICATE)
}

fn receive(head: Response<()>, lease: Http1Lease) -> Response<ResponseBody> {
    let is_over = lease.http().is_received() && head.status() != StatusCode::SWITCHING_PROTOCOLS;
    head.map(|()| {
        if is_over {
            let lane = Arc::clone(lease.in_flight().lane());
            lease.release();
            ResponseBody::ended(lane)
        } else {
            ResponseBody::http1(lease)
        }
    })
}

/// The failure of an exchange whose connection had ended before any byte of the request was sent.
fn unsent(request: Request<RequestBody>, lease: Http1Lease) -> Failure {
    let error = ExchangeError::Connection(http1::Error::NoResponse);
    Failure {
        unsent: Some(request),
        is_unprocessed: true,
        ..fail(error, lease)
    }
}

fn fail(error: ExchangeError<BodyError>, lease: Http1Lease) -> Failure {
    let is_silent = !lease.http().has_received();
    let is_mute = is_silent && !lease.is_reused();
    let in_flight = lease.into_in_flight();
    Failure {
        error: Error::exchange(in_flight.address(), error, is_mute),
        unsent: None,
        is_unprocessed: false,
        is_silent,
        needs_http1: false,
        in_flight,
    }
}
