//! One request of an HTTP/2 connection and its answer.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;
use tracing::debug;

use super::request_handler::RequestHandler;
use super::response_sender::{Broken, ResponseSender};
use super::tracked_body::{RequestMark, TrackedBody};
use crate::memory::{HeldBytes, HeldMemory, SMALL_HEAD, TUNNEL_SIZE, Transfer, head_size};
use crate::proxy::{self, Body, BodyError, ClientBody, Interims, OnTunnel, StreamBody, StreamIo};

/// Bytes that a connection may hold beyond its client's share when a large head comes from a backend.
const MOST_DEBT: usize = 128 * 1024;

/// A request that its client has memory for.
pub(super) struct AdmittedRequest {
    pub(super) request: Request<RecvStream>,
    pub(super) held: HeldMemory,
    /// Its upload, unless it has none or a small one.
    pub(super) upload: Option<Transfer>,
}

/// Answers the request of a stream, until the client resets it.
pub(super) async fn serve(
    handler: Arc<RequestHandler>,
    admitted: AdmittedRequest,
    mut reply: SendResponse<HeldBytes>,
) {
    let answered = if *admitted.request.method() == Method::CONNECT {
        // Boxed, so that the tasks of all other requests have no room for it.
        Box::pin(connect(&handler, admitted, &mut reply)).await
    } else {
        answer(&handler, admitted, &mut reply).await
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
    admitted: AdmittedRequest,
    reply: &mut SendResponse<HeldBytes>,
) -> Result<(), Broken> {
    let (head, stream) = admitted.request.into_parts();
    let body = StreamBody::new(stream, &head.headers).recording(admitted.upload);
    let interims = Interims::default();
    let request = Request::from_parts(head, body);
    let call = handler.call(request, Some(interims.clone()));
    let mut heads = LargeHeads::new(handler);
    let response = await_answer(call, &interims, reply, &mut heads).await?;
    send(heads, response, reply, admitted.held).await
}

/// Answers a CONNECT, which may become a tunnel (RFC 8441 section 5). It has no body until then.
async fn connect(
    handler: &Arc<RequestHandler>,
    admitted: AdmittedRequest,
    reply: &mut SendResponse<HeldBytes>,
) -> Result<(), Broken> {
    let mut held = admitted.held;
    let (mut head, stream) = admitted.request.into_parts();
    let (tunnel, on_tunnel) = OnTunnel::new();
    head.extensions.insert(on_tunnel);
    // The tunnel outlives its response, and its connection must not count as idle.
    let mark = RequestMark::new(Arc::clone(&handler.deadlines));
    let interims = Interims::default();
    let call = handler.call(Request::from_parts(head, ClientBody::Empty), None);
    let mut heads = LargeHeads::new(handler);
    let response = await_answer(call, &interims, reply, &mut heads).await?;
    if !response.status().is_success() {
        return send(heads, response, reply, held).await;
    }
    if !held.grow(TUNNEL_SIZE) {
        return Err(Broken::OverShare);
    }
    let (head, _) = handler.complete_head(response);
    heads.count(head.headers())?;
    let mut sending = reply.send_response(head, false)?;
    heads.send_mark(&mut sending)?;
    let memory = Arc::clone(&handler.memory);
    let counting = Arc::clone(handler);
    let io = StreamIo::new(stream, sending, memory, (mark, held))
        .recording(admitted.upload)
        .on_reset(move || counting.resets.count());
    // If nobody waits for the tunnel any more, it is dropped here, which resets the stream.
    let _ = tunnel.send(io);
    Ok(())
}

/// Waits for the response, and sends the interim responses before it.
async fn await_answer<F>(
    mut call: Pin<Box<F>>,
    interims: &Interims,
    reply: &mut SendResponse<HeldBytes>,
    heads: &mut LargeHeads<'_>,
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
                heads.count(interim.headers())?;
                reply.send_informational(interim)?;
            }
            waiting = interims.poll_take(cx);
        }
        answer.map(Ok)
    })
    .await
}

/// The large heads of one response, which wait to be written. Small ones are counted with the request.
struct LargeHeads<'h> {
    handler: &'h RequestHandler,
    held: Option<HeldMemory>,
}

impl<'h> LargeHeads<'h> {
    fn new(handler: &'h RequestHandler) -> Self {
        Self {
            handler,
            held: None,
        }
    }

    /// Counts a head with these fields. Fails if it is large and the client holds far more than its share.
    fn count(&mut self, fields: &HeaderMap) -> Result<(), Broken> {
        let size = head_size(fields);
        if size <= SMALL_HEAD {
            return Ok(());
        }
        let memory = &self.handler.memory;
        if memory.debt() > MOST_DEBT {
            return Err(Broken::OverShare);
        }
        let head = memory.owe(size);
        match &mut self.held {
            Some(held) => held.merge(head),
            None => self.held = Some(head),
        }
        Ok(())
    }

    /// Sends an empty chunk after large heads. Their memory is given back when it is written, which only data shows.
    fn send_mark(&mut self, stream: &mut SendStream<HeldBytes>) -> Result<(), h2::Error> {
        match self.held.take() {
            Some(held) => stream.send_data(HeldBytes::new(Bytes::new(), held), false),
            None => Ok(()),
        }
    }
}

/// Sends a whole response, whose request is `held` until it is written.
async fn send(
    mut heads: LargeHeads<'_>,
    response: Response<TrackedBody<Body>>,
    reply: &mut SendResponse<HeldBytes>,
    mut held: HeldMemory,
) -> Result<(), Broken> {
    let handler = heads.handler;
    let (head, body) = handler.complete_head(response);
    heads.count(head.headers())?;
    if !body.is_end_stream() {
        let mut stream = reply.send_response(head, false)?;
        heads.send_mark(&mut stream)?;
        return ResponseSender::new(stream, handler, held).send(body).await;
    }
    if heads.held.is_none() && !handler.is_congested() {
        reply.send_response(head, true)?;
        return Ok(());
    }
    let mut stream = reply.send_response(head, false)?;
    if let Some(heads) = heads.held {
        held.merge(heads);
    }
    stream.send_data(HeldBytes::new(Bytes::new(), held), true)?;
    Ok(())
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
