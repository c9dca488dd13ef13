//! Exchange of one request and the head of its response on a stream of an HTTP/2 connection.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, sleep_until};

use super::exchange_terms::ExchangeTerms;
use super::failure::Failure;
use super::lease::Http2Lease;
use super::response_body::ResponseBody;
use super::response_timeout::poll_overdue;
use crate::upstream::address::{Address, Protocol};
use crate::upstream::body::{RequestBody, UploadFailure, UploadGuard, UploadProgress};
use crate::upstream::connection::{to_http1, to_http2};
use crate::upstream::error::Error;

/// Sends `request` on a new stream and returns the response when its head has arrived. Fails if the backend makes no
/// progress for the limit in `terms`. Dropping the future resets the stream.
pub(super) async fn exchange_http2(
    mut lease: Http2Lease,
    mut request: Request<RequestBody>,
    terms: ExchangeTerms<'_>,
) -> Result<Response<ResponseBody>, Failure> {
    let limit = terms.limit;
    let guard: UploadGuard = lease.slot().clone();
    request.body_mut().hold(Some(guard));
    let progress = request.body().progress();
    let spare = spare(&request);
    let address = lease.in_flight().address();
    let request = to_http2(request, address, address.protocol() == Protocol::Https);
    let mut sender = lease.slot().sender();
    let mut head = pin!(sender.try_send_request(request));
    let began = Instant::now();
    let mut timer = pin!(sleep_until(began + limit));
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = head.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        ready!(poll_overdue(timer.as_mut(), progress.as_ref(), limit, cx));
        Poll::Ready(None)
    });
    match outcome.await {
        Some(Ok(response)) => {
            terms.count(lease.in_flight().lane(), response.status(), began);
            lease.hold(progress.map(UploadProgress::answered));
            Ok(receive(response, lease))
        }
        Some(Err(error)) => {
            let upload_failure = progress.and_then(|progress| progress.failure());
            Err(fail(error, spare, upload_failure, lease))
        }
        None => {
            lease.slot().mark_doubtful();
            Err(Failure::timed_out(lease.into_in_flight()))
        }
    }
}

/// Copies a request without a body, so that it can be sent again if the backend says that it was not processed (RFC
/// 9113 section 8.7). Returns `None` for idempotent methods, which the caller copies.
fn spare(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let is_idempotent = request.method().is_idempotent();
    (!is_idempotent)
        .then(|| RequestBody::copy_if_empty(request))
        .flatten()
}

fn receive(response: Response<Incoming>, lease: Http2Lease) -> Response<ResponseBody> {
    response.map(|incoming| {
        if incoming.is_end_stream() {
            ResponseBody::ended(Arc::clone(lease.in_flight().lane()))
        } else {
            ResponseBody::http2(incoming, lease)
        }
    })
}

/// Meaning that an error of the stream or its connection has for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamError {
    /// The backend has not processed the request.
    Unprocessed,
    /// The connection died. The backend may have processed the request.
    Unknown,
    /// The backend has not processed the request, and wants it over HTTP/1.1.
    Http1Required,
    /// The backend reset the stream.
    Reset(h2::Reason),
    /// The backend sent invalid HTTP/2.
    Invalid,
}

fn classify(error: &hyper::Error) -> StreamError {
    let source = std::error::Error::source(error);
    let Some(error) = source.and_then(|source| source.downcast_ref::<h2::Error>()) else {
        return if error.is_canceled() || error.is_closed() {
            StreamError::Unprocessed
        } else {
            StreamError::Unknown
        };
    };
    match error.reason() {
        Some(h2::Reason::HTTP_1_1_REQUIRED) if error.is_remote() => StreamError::Http1Required,
        // A GOAWAY ends only streams that the backend has not processed (RFC 9113 section 6.8).
        _ if error.is_remote() && error.is_go_away() => StreamError::Unprocessed,
        Some(h2::Reason::REFUSED_STREAM) if error.is_remote() => StreamError::Unprocessed,
        Some(reason) if error.is_remote() => StreamError::Reset(reason),
        _ if error.is_io() => StreamError::Unknown,
        _ => StreamError::Invalid,
    }
}

fn fail(
    mut error: TrySendError<Request<RequestBody>>,
    spare: Option<Request<RequestBody>>,
    upload_failure: Option<UploadFailure>,
    lease: Http2Lease,
) -> Failure {
    let in_flight = lease.into_in_flight();
    let mut unsent = error.take_message().map(to_http1);
    if let Some(unsent) = &mut unsent {
        unsent.body_mut().hold(None);
    }
    let error = error.into_error();
    let stream_error = classify(&error);
    let needs_http1 = stream_error == StreamError::Http1Required
        && in_flight.address().protocol() == Protocol::Https;
    if needs_http1 {
        in_flight.pool().require_http1();
    }
    let is_unprocessed = stream_error == StreamError::Unprocessed || needs_http1;
    Failure {
        unsent: unsent.or_else(|| spare.filter(|_| is_unprocessed)),
        is_unprocessed,
        is_silent: is_unprocessed || stream_error == StreamError::Unknown,
        needs_http1,
        error: describe(error, stream_error, upload_failure, in_flight.address()),
        in_flight,
    }
}

fn describe(
    error: hyper::Error,
    stream_error: StreamError,
    upload_failure: Option<UploadFailure>,
    backend: &Address,
) -> Error {
    let backend = backend.clone();
    match (upload_failure, stream_error) {
        (Some(UploadFailure::Stalled), _) => Error::RequestStalled,
        (Some(UploadFailure::TooLarge), _) => Error::RequestTooLarge,
        (Some(UploadFailure::Broken), _) => Error::RequestBroken(error.into()),
        (None, StreamError::Reset(reason)) => Error::Reset { backend, reason },
        (None, StreamError::Http1Required) => Error::Reset {
            backend,
            reason: h2::Reason::HTTP_1_1_REQUIRED,
        },
        (None, StreamError::Unprocessed) => Error::Refused {
            backend,
            source: error,
        },
        (None, StreamError::Unknown | StreamError::Invalid) => Error::Exchange {
            backend,
            source: error.into(),
        },
    }
}
