//! The app behind the proxies where nginx cannot be it: event streams, WebSocket echo and a gRPC method.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::header::{
    CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRAILER, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::executor::LocalExecutor;
use super::{Failure, Protocol, Target};

/// One event of the streams.
const EVENT: &[u8] = b"data: {\"temperature\": 21.5, \"unit\": \"C\"}\n\n";
/// Time between two events of a stream.
const PERIOD: Duration = Duration::from_secs(1);
/// Length of the message of the gRPC method, in bytes.
const MESSAGE: usize = 128;

/// Reason for which a request has no response.
type Refused = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves until the process is ended.
pub(crate) async fn app(target: &Target, protocol: Protocol) -> Result<(), Failure> {
    let listener = TcpListener::bind(target.address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(serve(stream, protocol));
    }
}

async fn serve(stream: TcpStream, protocol: Protocol) {
    let (io, service) = (TokioIo::new(stream), service_fn(respond));
    // The proxy may end a connection at any time.
    let _ = match protocol {
        Protocol::H1 => {
            http1::Builder::new()
                .serve_connection(io, service)
                .with_upgrades()
                .await
        }
        Protocol::H2 => {
            http2::Builder::new(LocalExecutor)
                .serve_connection(io, service)
                .await
        }
    };
}

async fn respond(request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    Ok(match request.uri().path() {
        "/events" => events(),
        "/echo" => echo(request)?,
        "/bench.Echo/Unary" => unary(request).await?,
        _ => Response::new(whole(&[b's'; 1024])),
    })
}

fn whole(bytes: &[u8]) -> Body {
    Full::new(Bytes::copy_from_slice(bytes)).boxed_unsync()
}

/// One event at once, and one each second after it.
fn events() -> Response<Body> {
    let ticks = interval_at(Instant::now(), PERIOD);
    let events = stream::unfold(ticks, |mut ticks| async {
        ticks.tick().await;
        Some((Ok(Frame::data(Bytes::from_static(EVENT))), ticks))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// A WebSocket that sends each message back.
fn echo(mut request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let accept = derive_accept_key(key.ok_or("the request asks for no WebSocket")?.as_bytes());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::task::spawn_local(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(whole(b""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept)?);
    Ok(response)
}

/// A unary method of gRPC: one message, then its status as a trailer.
async fn unary(request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    request.into_body().collect().await?;
    let mut message = vec![0, 0, 0, 0, u8::try_from(MESSAGE)?];
    message.resize(5 + MESSAGE, b'm');
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from(message)), Frame::trailers(trailers)];
    let body = StreamBody::new(stream::iter(frames.map(Ok)));
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TRAILER, HeaderValue::from_static("grpc-status"));
    Ok(response)
}
