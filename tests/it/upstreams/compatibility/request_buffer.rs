//! `buffer-requests`: bodies without a length are read first, so that the backend gets their length.

use bytes::Bytes;
use http::Request;
use hyper::body::Frame;

use super::super::fixtures::{OK, last};
use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::service::{Service, ServiceSetup, frames};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n";

async fn buffering(origin: &Origin, limit: usize) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream.buffer_requests = Some(limit);
    let setup = setup.site("www.example.org", &[origin.address]);
    setup.start().await
}

#[tokio::test]
async fn a_chunked_body_gets_its_length_over_both_protocols() {
    let mut origin = Origin::answering(OK).await;
    let service = buffering(&origin, 1_000_000).await;
    let body = "3\r\none\r\n3\r\ntwo\r\n0\r\nx-sum: 6\r\n\r\n";
    let answer = ask(service.h1, last("POST", CHUNKED) + body).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = origin.event().await;
    assert_eq!(header(&seen, "content-length"), Some("6"));
    assert_eq!(header(&seen, "transfer-encoding"), None);
    assert_eq!(header(&seen, "trailer"), None);
    assert!(seen.ends_with("\r\n\r\nonetwo"), "{seen}");

    let large = "x".repeat(200_000);
    let pieces = [large.clone(), large.clone()];
    let pieces = pieces.map(|piece| Frame::data(Bytes::from(piece)));
    let request = Request::post("https://www.example.org/").body(frames(pieces.into()));
    assert_eq!(service.fetch2(request.unwrap()).await.status(), 200);
    let seen = origin.event().await;
    assert_eq!(header(&seen, "content-length"), Some("400000"));
    assert!(seen.ends_with(&format!("\r\n\r\n{large}{large}")));
}

#[tokio::test]
async fn an_empty_chunked_body_has_the_length_zero() {
    let mut origin = Origin::answering(OK).await;
    let service = buffering(&origin, 1000).await;
    let answer = ask(service.h1, last("POST", CHUNKED) + "0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(header(&origin.event().await, "content-length"), Some("0"));
}

#[tokio::test]
async fn a_larger_body_is_refused_before_the_backend_hears_of_it() {
    let origin = Origin::answering(OK).await;
    let service = buffering(&origin, 10).await;
    let body = "6\r\n123456\r\n5\r\n78901\r\n0\r\n\r\n";
    let answer = ask(service.h1, last("POST", CHUNKED) + body).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_body_with_a_length_is_streamed() {
    let mut origin = Origin::start(|mut connection| async move {
        connection.raw.read_until("half").await.unwrap();
        connection.tell("half");
        connection.raw.read_until("half").await.unwrap();
        connection.raw.send(OK).await;
    })
    .await;
    let service = buffering(&origin, 1000).await;
    let mut client = RawStream::connect(service.h1).await;
    let head = last("POST", "Content-Length: 8\r\n");
    client.send(format!("{head}half")).await;
    assert_eq!(origin.event().await, "half");
    client.send("half").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_is_asked() {
    let mut origin = Origin::answering(OK).await;
    let service = buffering(&origin, 1000).await;
    let mut client = RawStream::connect(service.h1).await;
    let fields = format!("{CHUNKED}Expect: 100-continue\r\n");
    client.send(last("POST", &fields)).await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 100 "), "{head}");
    client.send("4\r\nbody\r\n0\r\n\r\n").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = origin.event().await;
    assert_eq!(header(&seen, "content-length"), Some("4"));
}
