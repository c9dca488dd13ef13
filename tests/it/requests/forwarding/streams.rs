//! Live streams: each event reaches the client before the app sends the next one, over TLS and both protocols.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};
use crate::harness::service::{Service, empty, serve};

/// A proxy in front of this app, with all features that could delay a stream.
async fn start_with_all_features(origin: &Origin) -> Proxy {
    let setup = ProxySetup::new();
    let log = setup.file("access.log", "");
    let proxyfile = format!(
        "compress = {{ min-size = \"1\" }}\nrequest-id = true\naccess-log = {:?}\n[sites]\n\"localhost\" = \"{}\"\n",
        log.display().to_string(),
        origin.address
    );
    setup.proxyfile(&proxyfile).start().await
}

/// An app that sends the events that the test gives it.
async fn events(kind: &'static str) -> (Origin, mpsc::UnboundedSender<&'static str>) {
    let (say, said) = mpsc::unbounded_channel::<&'static str>();
    let said = std::sync::Arc::new(tokio::sync::Mutex::new(said));
    let origin = Origin::start(move |mut connection| {
        let said = std::sync::Arc::clone(&said);
        async move {
            connection.read_request().await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
            );
            connection.raw.send(head).await;
            while let Some(word) = said.lock().await.recv().await {
                let event = format!("{:x}\r\n{word}\r\n", word.len());
                connection.raw.send(event).await;
            }
        }
    })
    .await;
    (origin, say)
}

async fn next(body: &mut Incoming) -> Bytes {
    let frame = soon(body.frame()).await.unwrap().unwrap();
    frame.into_data().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_arrives_before_the_next_is_sent() {
    for is_http2 in [false, true] {
        let (origin, say) = events("text/event-stream").await;
        let proxy = start_with_all_features(&origin).await;
        let request = Request::get("https://localhost/events")
            .header("host", "localhost")
            .header("accept", "text/event-stream")
            .header("accept-encoding", "gzip, br, zstd")
            .body(Default::default())
            .unwrap();
        let client = proxy.client();
        let response = match is_http2 {
            true => {
                let mut sender = client.http2(proxy.https(), "localhost").await;
                soon(sender.send_request(request)).await
            }
            false => {
                let mut sender = client.http1(proxy.https(), "localhost").await;
                soon(sender.send_request(request)).await
            }
        };
        let response = response.unwrap();
        assert!(!response.headers().contains_key("content-encoding"));
        let mut body = response.into_body();
        for word in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
            say.send(word).unwrap();
            assert_eq!(next(&mut body).await, word, "{is_http2}");
        }
    }
}

/// Builds a request whose body the test sends piece by piece.
async fn upload(
    service: &Service,
) -> (
    mpsc::UnboundedSender<Bytes>,
    impl Future<Output = http::Response<Incoming>> + use<>,
) {
    let (pieces, sent) = mpsc::unbounded_channel::<Bytes>();
    let frames = futures_util::stream::unfold(sent, |mut sent| async move {
        let piece = sent.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(piece)), sent))
    });
    let stream = tokio::net::TcpStream::connect(service.h2).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    service.tasks.spawn(connection);
    let request = Request::post("https://www.example.org/")
        .body(StreamBody::new(Box::pin(frames)))
        .unwrap();
    let response = async move { soon(sender.send_request(request)).await.unwrap() };
    (pieces, response)
}

#[tokio::test]
async fn an_upload_may_continue_after_its_response() {
    let origin = Origin::start(|mut connection| async move {
        connection.raw.read_head().await.unwrap();
        connection.raw.read_until("first").await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly";
        connection.raw.send(answer).await;
        connection.raw.read_until("last").await;
        connection.tell("all");
    })
    .await;
    let service = serve(&[origin.address]).await;
    let (pieces, response) = upload(&service).await;
    pieces.send("first".into()).unwrap();
    let response = response.await;
    assert_eq!(response.status(), 200);
    let body = soon(response.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "early");
    // The client may have left; the app continues to serve.
    let _ = pieces.send("last".into());
    let request = Request::get("https://other.example/")
        .body(empty())
        .unwrap();
    assert_eq!(service.fetch2(request).await.status(), 421);
}

#[tokio::test]
async fn both_directions_alternate_over_http_2() {
    let origin = Origin::start(|mut connection| async move {
        connection.raw.read_head().await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        connection.raw.send(head).await;
        for word in ["one", "two", "six"] {
            connection.raw.read_until(word).await.unwrap();
            connection.raw.send(format!("3\r\n{word}\r\n")).await;
        }
        connection.raw.send("0\r\n\r\n").await;
    })
    .await;
    let service = serve(&[origin.address]).await;
    let (pieces, response) = upload(&service).await;
    let mut body = response.await.into_body();
    for word in ["one", "two", "six"] {
        pieces.send(word.into()).unwrap();
        assert_eq!(next(&mut body).await, word);
    }
    let rest = soon(body.collect()).await.unwrap();
    assert!(rest.to_bytes().is_empty());
}

#[tokio::test]
async fn an_http_1_0_client_reads_a_stream_to_the_end_of_its_connection() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
    )
    .await;
    let service = serve(&[origin.address]).await;
    for connection in ["", "Connection: keep-alive\r\n"] {
        let request = format!("GET / HTTP/1.0\r\nHost: www.example.org\r\n{connection}\r\n");
        let answer = ask(service.h1, request).await;
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        assert_eq!(header(&answer, "transfer-encoding"), None);
        assert!(answer.ends_with("\r\n\r\nonetwo"), "{answer}");
    }
}

#[tokio::test]
async fn responses_without_a_body_end_at_once_and_their_connection_is_reused() {
    let origin = Origin::start(|mut connection| async move {
        while let Some(head) = connection.read_request().await {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 9\r\n\r\n",
                _ if head.starts_with("HEAD ") => "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            };
            connection.raw.send(answer).await;
        }
    })
    .await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    for (method, path, status) in [
        ("GET", "/204", "204"),
        ("GET", "/304", "304"),
        ("HEAD", "/", "200"),
        ("HEAD", "/204", "204"),
        ("HEAD", "/304", "304"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
        client.send(request).await;
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        client
            .send("GET /ok HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
            .await;
        let head = client.read_head().await.unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n"),
            "{method} {path}: {head}"
        );
        assert_eq!(client.read_exact(2).await, b"ok");
    }
    assert_eq!(origin.connections(), 1);
}
