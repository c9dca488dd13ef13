//! A real gRPC service of byte strings, and its client.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{ServerStreamingService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Messages = BoxStream<'static, Result<Bytes, Status>>;

/// A codec whose messages are plain bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let len = src.remaining();
        Ok(Some(src.copy_to_bytes(len)))
    }
}

/// The service: `/echo` gives a message back or fails with it, `/count` streams numbers, `/chat` answers message by message,
/// `/forever` reports once that it has started and then sends nothing until it is cancelled.
#[derive(Clone, Default)]
struct Echo {
    cancelled: Arc<Notify>,
}

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        async move {
            let message = request.into_inner();
            match message.strip_prefix(b"fail ") {
                Some(_) => Err(Status::failed_precondition("as you wish")),
                None => {
                    let mut response = Response::new(message);
                    let value = "kept".parse().unwrap();
                    response.metadata_mut().insert("x-echo", value);
                    Ok(response)
                }
            }
        }
        .boxed()
    }
}

impl ServerStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let count = request.into_inner().len();
        let numbers = (0..count).map(|n| Ok(Bytes::from(n.to_string())));
        std::future::ready(Ok(Response::new(stream::iter(numbers).boxed()))).boxed()
    }
}

struct Chat;

impl StreamingService<Bytes> for Chat {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let answers = request.into_inner().map(|message| {
            let message = message?;
            Ok(Bytes::from([b"re: ", &message[..]].concat()))
        });
        std::future::ready(Ok(Response::new(answers.boxed()))).boxed()
    }
}

struct Forever(Echo);

struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl ServerStreamingService<Bytes> for Forever {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        let guard = OnDrop(Arc::clone(&self.0.cancelled));
        let first = stream::iter([Ok(Bytes::from_static(b"here"))]);
        let messages = first.chain(stream::pending()).map(move |message| {
            let _guard = &guard;
            message
        });
        std::future::ready(Ok(Response::new(messages.boxed()))).boxed()
    }
}

/// A running gRPC service.
pub(crate) struct GrpcServer {
    pub(crate) address: SocketAddr,
    echo: Echo,
    _tasks: Tasks,
}

impl GrpcServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, echo) = (Tasks::new(), Echo::default());
        let (group, shared) = (tasks.clone(), echo.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let echo = shared.clone();
                let service = service_fn(move |request| serve(request, echo.clone()));
                let connection = server::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                group.spawn(connection);
            }
        });
        Self {
            address,
            echo,
            _tasks: tasks,
        }
    }

    /// Waits until a call of `/forever` is cancelled.
    pub(crate) async fn cancelled(&self) {
        self.echo.cancelled.notified().await;
    }
}

async fn serve(
    request: http::Request<Incoming>,
    echo: Echo,
) -> Result<http::Response<Body>, Infallible> {
    assert_eq!(request.headers()["te"], "trailers");
    let mut grpc = tonic::server::Grpc::new(Raw);
    Ok(match request.uri().path() {
        "/echo" => grpc.unary(echo, request).await,
        "/count" => grpc.server_streaming(echo, request).await,
        "/chat" => grpc.streaming(Chat, request).await,
        "/forever" => grpc.server_streaming(Forever(echo), request).await,
        path => panic!("{path}"),
    })
}

/// An HTTP/2 connection that carries the calls.
#[derive(Clone)]
pub(crate) struct Channel(client::SendRequest<Body>);

impl GrpcService<Body> for Channel {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future =
        Pin<Box<dyn Future<Output = Result<http::Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.send_request(request).boxed()
    }
}

/// A client of the service at `address` under this host.
pub(crate) async fn connect(
    address: SocketAddr,
    host: &str,
    tasks: &Tasks,
) -> tonic::client::Grpc<Channel> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = client::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tasks.spawn(connection);
    let origin = format!("http://{host}").parse().unwrap();
    tonic::client::Grpc::with_origin(Channel(sender), origin)
}

pub(crate) fn path(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

/// Reads all messages of a stream.
pub(crate) async fn all(mut messages: Streaming<Bytes>) -> Vec<Bytes> {
    let mut all = Vec::new();
    while let Some(message) = messages.message().await.unwrap() {
        all.push(message);
    }
    all
}
