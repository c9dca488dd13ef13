//! One request of an HTTP/3 connection and its answer.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h3::error::{Code, StreamError};
use h3::server::{RequestResolver, RequestStream};
use http::{Request, StatusCode, Version};
use http_body::Body as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::early_data::EarlyData;
use super::frame_scanner::FrameLimit;
use super::quic_connection::{QuicConnection, StreamControl};
use super::quic_streams::{QuicBidiStream, Refusal, StreamEnd};
use super::request_body::request_body;
use super::response_sender::{Broken, ResponseSender};
use super::windows::{WindowedTransfer, Windows};
use crate::memory::{HeldMemory, RUNNING_SIZE, WAITING_SIZE, request_head_size, small_upload_size};
use crate::proxy::{BodyError, ConnInfo, Interims, Reason, RejectedEarly};
use crate::server::connection::{RequestHandler, RequestMark};

/// Time after which a request is refused that could not run.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Parts that the requests of one connection share.
pub(super) struct ConnectionContext {
    pub(super) handler: Arc<RequestHandler>,
    pub(super) windows: Arc<Windows>,
    pub(super) header_timeout: Duration,
    pub(super) streams: Arc<OpenStreams>,
    pub(super) early: Option<EarlyData>,
}

/// The streams of one connection whose responses the client has not got to their ends.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    count: AtomicUsize,
    ended: Notify,
}

/// A stream that is open until this is dropped.
#[derive(Debug)]
pub(super) struct OpenStream(Arc<OpenStreams>);

impl OpenStreams {
    pub(super) fn open(self: &Arc<Self>) -> OpenStream {
        self.count.fetch_add(1, Ordering::Relaxed);
        OpenStream(Arc::clone(self))
    }

    /// Waits until no stream is open.
    pub(super) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.count.load(Ordering::Relaxed) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

/// A request whose head has not been read.
pub(super) struct AcceptedStream {
    pub(super) resolver: RequestResolver<QuicConnection, Bytes>,
    pub(super) control: StreamControl,
    /// Facts of the connection when the request came.
    pub(super) info: Arc<ConnInfo>,
    pub(super) open: OpenStream,
}

/// A request that its client has memory for.
struct AdmittedRequest {
    request: Request<()>,
    stream: RequestStream<QuicBidiStream, Bytes>,
    held: HeldMemory,
    upload: Option<WindowedTransfer>,
}

/// Answers the request of a stream, until the client stops it.
pub(super) async fn serve(context: Arc<ConnectionContext>, accepted: AcceptedStream) {
    let AcceptedStream {
        resolver,
        control,
        info,
        open,
    } = accepted;
    let StreamControl {
        stopped,
        end,
        is_early,
    } = control;
    let handler = &context.handler;
    let early = context.early.as_ref().filter(|_| is_early);
    let admitted = match admit(&context, resolver, &end, early).await {
        Ok(admitted) => admitted,
        Err(error) => {
            refuse(handler, &info, error, &end);
            return;
        }
    };
    let (sender, receiver) = admitted.stream.split();
    let mut sender = ResponseSender::new(sender, stopped, handler);
    let answered = async {
        let body = request_body(receiver, &admitted.request, end.clone(), admitted.upload);
        let body = timeout(context.header_timeout, body).await;
        let body = body.map_err(|_| Broken::HeadTimeout)??;
        let interims = Interims::default();
        let request = admitted.request.map(|()| body);
        let call = handler.call_from(info, request, Some(interims.clone()));
        let response = sender.await_answer(call, &interims).await?;
        let (head, body) = handler.complete_head(response);
        sender.send_head(head).await?;
        if !body.is_end_stream() {
            let download = context.windows.begin_download();
            sender.send_body(body, download).await?;
        }
        sender.finish().await
    };
    if let Err(error) = Box::pin(answered).await {
        let code = failed(handler, &error);
        end.set_code(code);
        sender.reset(code);
    }
    drop((admitted.held, open));
}

/// Reads the head of a request, and waits until its client has memory for it.
async fn admit(
    context: &ConnectionContext,
    resolver: RequestResolver<QuicConnection, Bytes>,
    end: &StreamEnd,
    early: Option<&EarlyData>,
) -> Result<AdmittedRequest, Broken> {
    let handler = &context.handler;
    let memory = &handler.memory;
    let held = memory.hold_to_wait(WAITING_SIZE);
    let mut held = held.ok_or_else(|| rejected(end))?;
    end.set_code(Code::H3_REQUEST_INCOMPLETE);
    let resolved = timeout(context.header_timeout, Box::pin(resolver.resolve_request())).await;
    let (mut request, stream) = resolved.map_err(|_| Broken::HeadTimeout)??;
    end.set_code(Code::H3_INTERNAL_ERROR);
    if let Some(early) = early {
        early.admit(&mut request).await?;
    }
    let mut size = RUNNING_SIZE - WAITING_SIZE + request_head_size(&request);
    let upload = match small_upload_size(request.headers()) {
        Some(length) => {
            size += length;
            None
        }
        None => Some(
            context
                .windows
                .begin_upload()
                .ok_or_else(|| rejected(end))?,
        ),
    };
    if !held.grow_to_run(size) {
        // Keeps the connection from counting as idle.
        let _mark = RequestMark::new(Arc::clone(&handler.deadlines));
        let deadline = Instant::now() + LONGEST_WAIT;
        while !held.grow_to_run(size) {
            let given_back = Arc::clone(memory).given_back();
            let waited = timeout_at(deadline, given_back).await;
            waited.map_err(|_| rejected(end))?;
        }
    }
    Ok(AdmittedRequest {
        request,
        stream,
        held,
        upload,
    })
}

/// Returns the error of a request that was not processed, so that the client may send it again (RFC 9114 section 8.1).
fn rejected(end: &StreamEnd) -> Broken {
    end.set_code(Code::H3_REQUEST_REJECTED);
    Broken::OverShare
}

/// Counts a request that was refused before it reached the service.
fn refuse(handler: &RequestHandler, info: &ConnInfo, error: Broken, end: &StreamEnd) {
    debug!(error = &error as &dyn StdError, "request refused");
    let (status, reason) = match &error {
        Broken::HeadTimeout => (StatusCode::REQUEST_TIMEOUT, Reason::HeadTimeout),
        Broken::OverShare => {
            handler.service.refusals().count(Reason::StreamMemory);
            return;
        }
        Broken::Reset(_) | Broken::Stream(StreamError::RemoteTerminate { .. }) => {
            handler.resets.count();
            return;
        }
        Broken::Stream(error) => match refusal(error, end.refusal()) {
            Some(refusal) => refusal,
            None => return,
        },
        Broken::Stalled | Broken::Body(_) | Broken::Handshake(_) => return,
    };
    let rejected = RejectedEarly {
        version: Version::HTTP_3,
        status,
        reason,
    };
    handler.service.note_rejected_early(info, rejected);
}

/// Returns why a request was refused. The errors of whole connections are counted once, and not here.
fn refusal(error: &StreamError, refusal: Option<Refusal>) -> Option<(StatusCode, Reason)> {
    let too_large = (
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Reason::HeadTooLarge,
    );
    let too_many = StatusCode::TOO_MANY_REQUESTS;
    match (refusal, error) {
        (Some(Refusal::Memory), _) => Some((too_many, Reason::StreamMemory)),
        (Some(Refusal::Frames(FrameLimit::TooLarge)), _) => Some(too_large),
        (Some(Refusal::Frames(FrameLimit::TooMany)), _) => Some((too_many, Reason::Http3Flood)),
        (None, StreamError::HeaderTooBig { .. }) => Some(too_large),
        (None, StreamError::StreamError { code, .. }) => {
            let reason = if *code == Code::H3_REQUEST_INCOMPLETE {
                Reason::HeadCut
            } else {
                Reason::Malformed
            };
            Some((StatusCode::BAD_REQUEST, reason))
        }
        (None, _) => None,
    }
}

/// Counts a response that was not sent to its end. Returns the error code for its client.
fn failed(handler: &RequestHandler, error: &Broken) -> Code {
    debug!(error = error as &dyn StdError, "stream ended early");
    let refusals = handler.service.refusals();
    match error {
        Broken::Reset(_) => {
            handler.resets.count();
            Code::H3_REQUEST_CANCELLED
        }
        Broken::Stream(_) | Broken::Handshake(_) => Code::H3_INTERNAL_ERROR,
        Broken::HeadTimeout => {
            refusals.count(Reason::HeadTimeout);
            Code::H3_REQUEST_INCOMPLETE
        }
        Broken::Stalled => {
            refusals.count(Reason::Stalled);
            Code::H3_REQUEST_CANCELLED
        }
        Broken::OverShare => {
            refusals.count(Reason::StreamMemory);
            Code::H3_EXCESSIVE_LOAD
        }
        Broken::Body(error) => {
            refusals.count(Reason::of_body(error));
            reset_code(error)
        }
    }
}

/// Returns the error code for a response that breaks off: cancelled if the backend cancelled it.
fn reset_code(error: &BodyError) -> Code {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return match error.reason() {
                Some(h2::Reason::CANCEL) => Code::H3_REQUEST_CANCELLED,
                _ => Code::H3_INTERNAL_ERROR,
            };
        }
        source = error.source();
    }
    Code::H3_INTERNAL_ERROR
}
