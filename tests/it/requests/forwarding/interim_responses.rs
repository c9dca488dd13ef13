//! Interim responses, which reach HTTP/2 clients at once.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use http::{Request, Response, StatusCode};
use proxy::proxy::GuardOptions;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, header};
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup, serve};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>\r\nconnection: x-hop\r\n\
    keep-alive: timeout=5\r\nx-hop: 1\r\nset-cookie: a=b\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn send(
    service: &Service,
    request: Request<()>,
    is_over: bool,
) -> (ResponseFuture, h2::SendStream<Bytes>) {
    let stream = TcpStream::connect(service.h2).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    service.tasks.spawn(connection);
    let mut sender = soon(sender.ready()).await.unwrap();
    sender.send_request(request, is_over).unwrap()
}

fn get() -> Request<()> {
    Request::get("https://www.example.org/").body(()).unwrap()
}

async fn interim(response: &mut ResponseFuture) -> Response<()> {
    soon(poll_fn(|cx| response.poll_informational(cx)))
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn early_hints_arrive_before_the_response() {
    let (_origin, responses) = Origin::driven().await;
    let service = serve(&[_origin.address]).await;
    let (mut response, _stream) = send(&service, get(), true).await;

    responses.send(HINTS).unwrap();
    let hints = interim(&mut response).await;
    responses.send("HTTP/1.1 102 Processing\r\n\r\n").unwrap();
    let second = interim(&mut response).await;
    responses.send(OK).unwrap();
    let last = soon(response).await.unwrap();

    assert_eq!(hints.status(), StatusCode::EARLY_HINTS);
    let links: Vec<_> = hints.headers().get_all("link").iter().collect();
    assert_eq!(links, ["</a.css>; rel=preload", "</b.js>"]);
    assert_eq!(hints.headers().len(), 2, "{hints:?}");
    assert_eq!(second.status(), StatusCode::PROCESSING);
    assert_eq!(last.status(), StatusCode::OK);
    assert!(!last.headers().contains_key("link"));
}

#[tokio::test]
async fn http_1_1_clients_get_only_the_final_response() {
    let (origin, responses) = Origin::driven().await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
        .await;
    responses.send(HINTS).unwrap();
    responses.send(OK).unwrap();
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(header(&head, "link"), None);
}

#[tokio::test]
async fn the_number_of_interim_responses_is_limited() {
    let (origin, responses) = Origin::driven().await;
    let service = serve(&[origin.address]).await;
    let (mut response, _stream) = send(&service, get(), true).await;
    for _ in 0..100 {
        responses.send(HINTS).unwrap();
    }
    responses.send(OK).unwrap();
    let mut hints = 0;
    while let Some(hint) = soon(poll_fn(|cx| response.poll_informational(cx))).await {
        hint.unwrap();
        hints += 1;
    }
    assert_eq!(hints, 16);
    assert_eq!(soon(response).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_100_continue_of_the_backend_reaches_an_http_2_client() {
    let (mut origin, responses) = Origin::driven().await;
    let service = serve(&[origin.address]).await;
    let request = Request::put("https://www.example.org/").header("expect", "100-continue");
    let (mut response, mut stream) = send(&service, request.body(()).unwrap(), false).await;
    let head = origin.event().await;
    assert_eq!(header(&head, "expect"), Some("100-continue"));

    let start = Instant::now();
    for _ in 0..50 {
        responses.send("HTTP/1.1 102 Processing\r\n\r\n").unwrap();
    }
    responses.send("HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    while interim(&mut response).await.status() != StatusCode::CONTINUE {}
    // Without `100 Continue`, the upload would start too, but later.
    assert!(start.elapsed() < Duration::from_millis(800));
    stream.send_data(Bytes::from_static(b"body"), true).unwrap();
    responses.send(OK).unwrap();
    assert_eq!(soon(response).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refused_upload_is_read_to_its_end_so_that_the_client_gets_the_response() {
    let origin = Origin::ok().await;
    let guards = GuardOptions {
        max_body: Some(3),
        ..GuardOptions::default()
    };
    let setup = ServiceSetup::new().site("www.example.org", &[origin.address]);
    let service = setup.guarded(&guards).start().await;
    let request = Request::put("https://www.example.org/").body(()).unwrap();
    let (response, mut stream) = send(&service, request, false).await;
    stream
        .send_data(Bytes::from_static(b"four"), false)
        .unwrap();
    let response = soon(response).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let mut body = response.into_body();
    while let Some(data) = soon(body.data()).await {
        data.unwrap();
    }
    for _ in 0..100 {
        stream.reserve_capacity(65_536);
        soon(poll_fn(|cx| stream.poll_capacity(cx)))
            .await
            .unwrap()
            .unwrap();
        stream
            .send_data(Bytes::from(vec![0; stream.capacity()]), false)
            .unwrap();
    }
    stream.send_data(Bytes::new(), true).unwrap();
}
