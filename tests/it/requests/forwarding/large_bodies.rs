//! Large bodies, which are forwarded in constant memory.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy::tasks::Tasks;

use crate::harness::backends::web_app::App;
use crate::harness::clients::https::read;
use crate::harness::proxy::ProxySetup;

const GIB: usize = 1 << 30;
const PIECE: usize = 64 * 1024;
/// Maximum growth of the process, in KiB.
const GROWTH: u64 = 32 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_passes_both_ways_in_constant_memory() {
    let app = App::start().await;
    let proxy = ProxySetup::new().local(&app).start().await;
    let client = proxy.client();
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "hello"
    );
    let before = proxy.peak_memory();

    let request = Request::get(format!("/download?{GIB}")).header("host", "localhost");
    let mut sender = client.http1(proxy.https(), "localhost").await;
    let response = sender
        .send_request(request.body(Default::default()).unwrap())
        .await
        .unwrap();
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(received, GIB);

    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::iter(std::iter::repeat_n(piece, GIB / PIECE));
    let pieces = pieces.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
    let stream = client
        .alpn("http/1.1")
        .connect(proxy.https(), "localhost")
        .await
        .unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    Tasks::new().spawn(connection);
    let request = Request::post("/upload").header("host", "localhost");
    let request = request.body(StreamBody::new(pieces)).unwrap();
    let answer = read(sender.send_request(request).await.unwrap()).await;
    assert_eq!(answer.body, GIB.to_string());

    let growth = proxy.peak_memory() - before;
    assert!(growth < GROWTH, "the process grew by {growth} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_all_windows_passes_both_ways_over_http_2() {
    const SIZE: usize = 64 << 20;
    let app = App::start().await;
    let proxy = ProxySetup::new().local(&app).start().await;
    let stream = proxy.client().alpn("h2");
    let stream = stream.connect(proxy.https(), "localhost").await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    Tasks::new().spawn(connection);
    let before = proxy.peak_memory();

    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::iter(std::iter::repeat_n(piece, SIZE / PIECE));
    let pieces = pieces.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
    let request = Request::post("https://localhost/upload").body(StreamBody::new(pieces.boxed()));
    let answer = read(sender.send_request(request.unwrap()).await.unwrap()).await;
    assert_eq!(answer.body, SIZE.to_string());

    let none = StreamBody::new(stream::empty().boxed());
    let request = Request::get(format!("https://localhost/download?{SIZE}")).body(none);
    sender.ready().await.unwrap();
    let response = sender.send_request(request.unwrap()).await.unwrap();
    // By the time others are served, the proxy has buffered its maximum for a client that does not read.
    let mut others = proxy.client().http1(proxy.https(), "localhost").await;
    for _ in 0..500 {
        others.ready().await.unwrap();
        let request = Request::get("/").header("host", "localhost");
        let request = request.body(Default::default()).unwrap();
        assert_eq!(
            read(others.send_request(request).await.unwrap()).await.body,
            "hello"
        );
    }
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(received, SIZE);
    let growth = proxy.peak_memory() - before;
    assert!(growth < GROWTH, "{growth} KiB");
}
