//! Uploads to HTTP/2 backends, and their trailers.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use proxy::proxy::GuardOptions;

use super::fixtures::{LAST, answer, bytes, serve};
use crate::harness::backends::h2_origin::{H2Origin, Session};
use crate::harness::clients::raw::{RawStream, ask};
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup};

#[tokio::test]
async fn an_upload_over_the_limit_is_a_413_here_too() {
    let origin = H2Origin::start(100, async |mut session: Session, _| {
        let mut held = Vec::new();
        while let Some(Ok(stream)) = session.accept().await {
            held.push(stream);
        }
    })
    .await;
    let options = GuardOptions {
        max_body: Some(10),
        ..GuardOptions::default()
    };
    let setup = ServiceSetup::new().upstream(&[&origin.url()], None);
    let service = setup.guarded(&options).start().await;
    let chunks = "8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n";
    let head = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{LAST}");
    let answer = ask(service.h1, format!("{head}{chunks}")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

/// Answers an upload with the names of its trailers.
async fn name_trailers(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) {
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let len = data.unwrap().len();
        body.flow_control().release_capacity(len).unwrap();
    }
    let trailers = body.trailers().await.unwrap().unwrap();
    let names: Vec<_> = trailers.keys().map(ToString::to_string).collect();
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(names.join(" ").into(), true).unwrap();
}

#[tokio::test]
async fn trailers_that_http_2_forbids_are_left_out() {
    let echo = async |mut session: Session, _| {
        let (request, respond) = session.accept().await.unwrap().unwrap();
        let rest = async { while session.accept().await.is_some() {} };
        tokio::join!(name_trailers(request, respond), rest);
    };
    let origin = H2Origin::start(100, echo).await;
    let service = serve(&origin.url()).await;
    let head = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{LAST}");
    let trailers = "Connection: x\r\nHost: evil.example\r\nKeep-Alive: 5\r\nX-Sum: 7\r\n";
    let answer = ask(service.h1, format!("{head}3\r\nabc\r\n0\r\n{trailers}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\r\nx-sum\r\n"), "{answer}");
}

/// A backend that answers at once and reads no upload.
async fn hasty(streams: u32) -> H2Origin {
    H2Origin::start(streams, async |mut session: Session, _| {
        let mut unread = Vec::new();
        while let Some(Ok((request, respond))) = session.accept().await {
            answer(respond, "ok");
            unread.push(request);
        }
    })
    .await
}

/// A client that has its response and continues its upload.
async fn uploading(service: &Service) -> RawStream {
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("POST / HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: 9\r\n\r\nabc")
        .await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    client
}

#[tokio::test]
async fn uploads_that_outlast_their_responses_do_not_block_other_requests() {
    let origin = hasty(2).await;
    let service = serve(&origin.url()).await;
    let _clients = [uploading(&service).await, uploading(&service).await];
    let answer = ask(service.h1, format!("GET / HTTP/1.1\r\n{LAST}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(origin.connections(), 2);
}

/// Begins a response at once, ends it after six bytes of the upload, and then waits for more bytes.
async fn answer_before_the_end(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    let mut body = request.into_body();
    let mut len = 0;
    while len < 6 {
        len += body.data().await.unwrap().unwrap().len();
    }
    stream.send_data(bytes("ok"), true).unwrap();
    let _ = body.data().await;
}

#[tokio::test]
async fn an_upload_that_stalls_after_its_response_times_out() {
    let origin = H2Origin::start(2, async |mut session: Session, _| {
        let (request, respond) = session.accept().await.unwrap().unwrap();
        let rest = async { while session.accept().await.is_some() {} };
        tokio::join!(answer_before_the_end(request, respond), rest);
    })
    .await;
    let setup = ServiceSetup::new().upstream(&[&origin.url()], None);
    let service = setup.body_timeout(Duration::from_millis(100)).start().await;
    let mut client = uploading(&service).await;
    client.send("def").await;
    soon(client.read_to_end()).await;
}
