//! A web app as users run it behind the proxy: a page, uploads, downloads and a WebSocket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxy::tasks::Tasks;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_tungstenite::WebSocketStream;

type Body = BoxBody<Bytes, Infallible>;

/// A running app; it ends together with the test's runtime.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    gate: Semaphore,
    waiting: Notify,
    answered: AtomicUsize,
}

impl App {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            gate: Semaphore::new(0),
            waiting: Notify::new(),
            answered: AtomicUsize::new(0),
        });
        let tasks = Tasks::new();
        tasks.spawn(serve(listener, Arc::clone(&shared), tasks.clone()));
        Self { address, shared }
    }

    /// Waits until a request for `/gate` has arrived.
    pub(crate) async fn gate_reached(&self) {
        self.shared.waiting.notified().await;
    }

    /// Number of requests for a large head so far.
    pub(crate) fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Lets the app answer one request for `/gate`.
    pub(crate) fn open_gate(&self) {
        self.shared.gate.add_permits(1);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, tasks: Tasks) {
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, connection_tasks) = (Arc::clone(&shared), tasks.clone());
        let service = service_fn(move |request| {
            answer(request, Arc::clone(&shared), connection_tasks.clone())
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tasks.spawn(connection.with_upgrades());
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    tasks: Tasks,
) -> Result<Response<Body>, Infallible> {
    Ok(match request.uri().path() {
        "/upload" => text(count(request.into_body()).await.to_string()),
        "/large-head" => {
            shared.answered.fetch_add(1, Ordering::Relaxed);
            large_head(request.uri().query().unwrap().parse().unwrap())
        }
        "/download" => download(request.uri().query().unwrap().parse().unwrap()),
        "/host" => text(format!("{:?}", request.headers().get("host").unwrap())),
        "/fields" => text(fields(&request)),
        "/gate" => {
            shared.waiting.notify_one();
            shared.gate.acquire().await.unwrap().forget();
            text("through the gate")
        }
        "/echo" => web_socket(request, &tasks),
        _ => text("hello"),
    })
}

/// All header fields as they arrived, one per line.
fn fields(request: &Request<Incoming>) -> String {
    let lines = request.headers().iter();
    lines
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect()
}

fn text(text: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(text.into()).boxed())
}

async fn count(mut body: Incoming) -> u64 {
    let mut count = 0;
    while let Some(Ok(frame)) = body.frame().await {
        count += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    count
}

/// A response with this number of bytes in its head.
fn large_head(len: usize) -> Response<Body> {
    let response = Response::builder().header("x-large", "y".repeat(len));
    response.body(Full::default().boxed()).unwrap()
}

fn download(len: usize) -> Response<Body> {
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let pieces = (0..len.div_ceil(piece.len()))
        .map(move |n| piece.slice(..piece.len().min(len - n * piece.len())));
    let frames = stream::iter(pieces.map(|piece| Ok(Frame::data(piece))));
    Response::builder()
        .header("content-length", len)
        .body(BodyExt::boxed(StreamBody::new(frames)))
        .unwrap()
}

fn web_socket(mut request: Request<Incoming>, tasks: &Tasks) -> Response<Body> {
    let key = request.headers()["sec-websocket-key"].as_bytes().to_vec();
    let upgrade = hyper::upgrade::on(&mut request);
    tasks.spawn(async move {
        let stream = TokioIo::new(upgrade.await.unwrap());
        let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
        echo(WebSocketStream::from_raw_socket(stream, role, None).await).await;
    });
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(&key);
    Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .body(Full::default().boxed())
        .unwrap()
}

/// Sends every message of a WebSocket back.
pub(crate) async fn echo<S>(mut socket: WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            socket.send(message).await.unwrap();
        }
    }
}
