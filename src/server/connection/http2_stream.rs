//! One request of an HTTP/2 connection and its answer.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use tracing::debug;

use super::request_handler::RequestHandler;
use super::response_sender::{Broken, ResponseSender};
use super::tracked_body::{RequestMark, TrackedBody};
use crate::proxy::{self, Body, BodyError, ClientBody, Interims, OnTunnel, StreamBody, StreamIo};

/// Answers the request of a stream, until the client resets it.
pub(super) async fn serve(
    handler: Arc<RequestHandler>,
    request: Request<RecvStream>,
    mut reply: SendResponse<Bytes>,
) {
    let answered = if *request.method() == Method::CONNECT {
        // Boxed, so that the tasks of all other requests have no room for it.
        Box::pin(connect(&handler, request, &mut reply)).await
    } else {
        answer(&handler, request, &mut reply).await
    };
    let Err(error) = answered else {
        return;
    };
    debug!(error = &error as &dyn StdError, "stream ended early");
    match error {
        Broken::Reset(_) => handler.resets.count(),
        Broken::Stream(_) => reply.send_reset(Reason::INTERNAL_ERROR),
        Broken::Stalled => {
            handler.service.refusals().count(proxy::Reason::Stalled);
            reply.send_reset(Reason::CANCEL);
        }
        Broken::OverShare => {
            let refusals = handler.service.refusals();
            refusals.count(proxy::Reason::StreamMemory);
            reply.send_reset(Reason::ENHANCE_YOUR_CALM);
        }
        Broken::Body(error) => {
            let reason = proxy::Reason::of_body(&error);
            handler.service.refusals().count(reason);
            reply.send_reset(reset_reason(&error));
        }
    }
}

async fn answer(
    handler: &Arc<RequestHandler>,
    request: Request<RecvStream>,
    reply: &mut SendResponse<Bytes>,
) -> Result<(), Broken> {
    let (head, stream) = request.into_parts();
    let body = StreamBody::new(stream, &head.headers);
    let interims = Interims::default();
    let request = Request::from_parts(head, body);
    let call = handler.call(request, Some(interims.clone()));
    let response = await_answer(call, &interims, reply).await?;
    send(handler, response, reply).await
}

/// Answers a CONNECT, which may become a tunnel (RFC 8441 section 5). It has no body until then.
async fn connect(
    handler: &Arc<RequestHandler>,
    request: Request<RecvStream>,
    reply: &mut SendResponse<Bytes>,
) -> Result<(), Broken> {
    let (mut head, stream) = request.into_parts();
    let (tunnel, on_tunnel) = OnTunnel::new();
    head.extensions.insert(on_tunnel);
    // The tunnel outlives its response, and its connection must not count as idle.
    let mark = RequestMark::new(Arc::clone(&handler.deadlines));
    let interims = Interims::default();
    let call = handler.call(Request::from_parts(head, ClientBody::Empty), None);
    let response = await_answer(call, &interims, reply).await?;
    if !response.status().is_success() {
        return send(handler, response, reply).await;
    }
    let (head, _) = complete_head(response);
    let sending = reply.send_response(head, false)?;
    // If nobody waits for the tunnel any more, it is dropped here, which resets the stream.
    let _ = tunnel.send(StreamIo::new(stream, sending, mark));
    Ok(())
}

/// Waits for the response, and sends the interim responses before it.
async fn await_answer<F>(
    mut call: Pin<Box<F>>,
    interims: &Interims,
    reply: &mut SendResponse<Bytes>,
) -> Result<F::Output, Broken>
where
    F: Future,
{
    poll_fn(|cx| {
        let answer = call.as_mut().poll(cx);
        let mut waiting = interims.poll_take(cx);
        if (answer.is_pending() || waiting.is_ready())
            && let Poll::Ready(reason) = reply.poll_reset(cx)?
        {
            return Poll::Ready(Err(Broken::Reset(reason)));
        }
        while let Poll::Ready(responses) = waiting {
            for interim in responses {
                reply.send_informational(interim)?;
            }
            waiting = interims.poll_take(cx);
        }
        answer.map(Ok)
    })
    .await
}

/// Completes a response's head with `Date` and `Content-Length`, and splits it from its body.
fn complete_head(response: Response<TrackedBody<Body>>) -> (Response<()>, TrackedBody<Body>) {
    let (mut head, body) = response.into_parts();
    let fields = &mut head.headers;
    fields.entry(DATE).or_insert_with(now);
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
    {
        let length = || HeaderValue::from(length);
        fields.entry(CONTENT_LENGTH).or_insert_with(length);
    }
    (Response::from_parts(head, ()), body)
}

fn now() -> HeaderValue {
    let now = httpdate::fmt_http_date(SystemTime::now());
    HeaderValue::try_from(now).expect("a date is visible ASCII")
}

/// Sends a whole response.
async fn send(
    handler: &RequestHandler,
    response: Response<TrackedBody<Body>>,
    reply: &mut SendResponse<Bytes>,
) -> Result<(), Broken> {
    let (head, body) = complete_head(response);
    let is_over = body.is_end_stream();
    let stream = reply.send_response(head, is_over)?;
    if is_over {
        return Ok(());
    }
    let memory = Arc::clone(&handler.memory);
    let sender = ResponseSender::new(stream, handler.body_timeout, memory);
    sender.send(body).await
}

/// Returns the error code for a response that breaks off: CANCEL if the backend cancelled it.
fn reset_reason(error: &BodyError) -> Reason {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return match error.reason() {
                Some(Reason::CANCEL) => Reason::CANCEL,
                _ => Reason::INTERNAL_ERROR,
            };
        }
        source = error.source();
    }
    Reason::INTERNAL_ERROR
}
