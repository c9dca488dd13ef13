//! One request of an HTTP/2 connection and its answer.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use tracing::debug;

use super::exchanges::Exchanges;
use super::tracked_body::{RequestMark, TrackedBody};
use crate::proxy::{
    self, Body, BodyError, ClientBody, Interims, OnTunnel, StreamBody, StreamIo, poll_room,
};

/// Why an answer does not come to its end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The stream or its connection.
    #[error("the stream ended")]
    Stream(#[from] h2::Error),
    /// The client wants no more of it.
    #[error("the client reset the stream with {0}")]
    Reset(Reason),
    /// The answer's body.
    #[error("the response broke off")]
    Body(#[source] BodyError),
}

/// Answers the request of a stream. The client hears nothing more when it resets the stream.
pub(super) async fn serve(
    exchanges: Arc<Exchanges>,
    request: Request<RecvStream>,
    mut reply: SendResponse<Bytes>,
) {
    let answered = match *request.method() == Method::CONNECT {
        false => answer(&exchanges, request, &mut reply).await,
        // Boxed, as few requests are one.
        true => Box::pin(connect(&exchanges, request, &mut reply)).await,
    };
    let Err(error) = answered else {
        return;
    };
    debug!(error = &error as &dyn StdError, "stream ended early");
    match error {
        Broken::Reset(_) => {}
        Broken::Stream(_) => reply.send_reset(Reason::INTERNAL_ERROR),
        Broken::Body(error) => {
            let refused = proxy::Reason::of_body(&error);
            exchanges.service.refusals().count(refused);
            reply.send_reset(reason(&error));
        }
    }
}

async fn answer(
    exchanges: &Arc<Exchanges>,
    request: Request<RecvStream>,
    reply: &mut SendResponse<Bytes>,
) -> Result<(), Broken> {
    let (head, stream) = request.into_parts();
    let body = StreamBody::new(stream, &head.headers);
    let interims = Interims::default();
    let request = Request::from_parts(head, body);
    let call = exchanges.call(request, Some(interims.clone()));
    let response = await_answer(call, &interims, reply).await?;
    send(response, reply).await
}

/// The same for a CONNECT, which may become a tunnel (RFC 8441 section 5). It has no body before that.
async fn connect(
    exchanges: &Arc<Exchanges>,
    request: Request<RecvStream>,
    reply: &mut SendResponse<Bytes>,
) -> Result<(), Broken> {
    let (mut head, stream) = request.into_parts();
    let (tunnel, on_tunnel) = OnTunnel::new();
    head.extensions.insert(on_tunnel);
    // A tunnel outlives its response, and the connection is in use for as long.
    let mark = RequestMark::new(Arc::clone(&exchanges.activity));
    let interims = Interims::default();
    let call = exchanges.call(Request::from_parts(head, ClientBody::Empty), None);
    let response = await_answer(call, &interims, reply).await?;
    if !response.status().is_success() {
        return send(response, reply).await;
    }
    let (head, _) = dress(response);
    let sending = reply.send_response(head, false)?;
    // Where nobody waits for it any more it is dropped, which resets the stream.
    let _ = tunnel.send(StreamIo::new(stream, sending, mark));
    Ok(())
}

/// Waits for the answer, and sends what comes before it.
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

/// The head as it goes out, with what a server says of itself and of the body.
fn dress(response: Response<TrackedBody<Body>>) -> (Response<()>, TrackedBody<Body>) {
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

/// Sends the whole answer, as fast as the client takes it.
async fn send(
    response: Response<TrackedBody<Body>>,
    reply: &mut SendResponse<Bytes>,
) -> Result<(), Broken> {
    let (head, body) = dress(response);
    if body.is_end_stream() {
        reply.send_response(head, true)?;
        return Ok(());
    }
    let mut stream = reply.send_response(head, false)?;
    let mut body = pin!(body);
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(reason) = stream.poll_reset(cx)? {
                return Poll::Ready(Err(Broken::Reset(reason)));
            }
            body.as_mut().poll_frame(cx).map(Ok)
        });
        let Some(frame) = frame.await? else {
            stream.send_data(Bytes::new(), true)?;
            return Ok(());
        };
        match frame.map_err(Broken::Body)?.into_data() {
            Ok(data) => {
                let is_last = body.is_end_stream();
                if !data.is_empty() {
                    await_room(&mut stream).await?;
                }
                stream.send_data(data, is_last)?;
                if is_last {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    stream.send_trailers(trailers)?;
                    return Ok(());
                }
            }
        }
    }
}

/// Waits until the client takes something more.
async fn await_room(stream: &mut SendStream<Bytes>) -> Result<(), Broken> {
    poll_fn(|cx| {
        if stream.capacity() == 0
            && let Poll::Ready(reason) = stream.poll_reset(cx)?
        {
            return Poll::Ready(Err(Broken::Reset(reason)));
        }
        poll_room(stream, cx)?.map(Ok)
    })
    .await
}

/// What the client is told of an answer that breaks off: that it was given up, where the backend says so.
fn reason(error: &BodyError) -> Reason {
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
