//! Uploads that their clients send when they are asked to: the backend is the one to ask.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use proxy::proxy::{GuardOptions, NetworkOptions};
use proxy::upstream::Options;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::harness::backends::origin::{Origin, OriginConnection};
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup, frames, serve};

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn upload(fields: &str) -> String {
    format!("PUT / HTTP/1.1\r\nHost: www.example.org\r\nExpect: 100-Continue\r\n{fields}\r\n")
}

#[tokio::test]
async fn an_upload_that_the_proxy_refuses_is_never_asked_for() {
    let mut origin = Origin::ok().await;
    let guards = GuardOptions {
        max_body: Some(3),
        networks: NetworkOptions {
            deny: vec!["127.0.0.0/8".parse().unwrap()],
            ..NetworkOptions::default()
        },
        ..GuardOptions::default()
    };
    let setup = ServiceSetup::new().site("www.example.org", &[origin.address]);
    let service = setup.guarded(&guards).start().await;
    for (fields, status) in [
        ("Content-Length: 4\r\n", 413),
        ("Content-Length: 3\r\n", 403),
    ] {
        let answer = ask(service.h1, upload(fields)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(header(&answer, "connection"), Some("close"));
    }
    assert!(origin.is_quiet());
}

/// Whether a client hears nothing for a while that is long for this machine and short for a patient proxy.
async fn hears_nothing(client: &mut RawStream) -> bool {
    let moment = Duration::from_millis(200);
    timeout(moment, client.read_head()).await.is_err()
}

#[tokio::test]
async fn an_upload_is_asked_for_when_its_backend_asks() {
    let (mut origin, responses) = Origin::driven().await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    client.send(upload("Content-Length: 4\r\n")).await;

    let head = origin.event().await;
    assert_eq!(header(&head, "expect"), Some("100-continue"));
    assert_eq!(header(&head, "content-length"), Some("4"));
    assert!(hears_nothing(&mut client).await);

    responses.send(CONTINUE).unwrap();
    assert_eq!(client.read_head().await.unwrap(), CONTINUE);
    client.send("body").await;
    assert_eq!(origin.event().await, "body");
    responses.send(OK).unwrap();
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(header(&head, "connection"), None);
}

#[tokio::test]
async fn a_chunked_upload_is_asked_for_once_and_arrives_whole() {
    let mut origin = Origin::start(|mut connection: OriginConnection| async move {
        while let Some(head) = connection.raw.read_head().await {
            if header(&head, "expect").is_some() {
                connection.raw.send(CONTINUE).await;
            }
            let body = connection.raw.read_body(&head).await.unwrap();
            connection.tell(format!("{head}{body}"));
            connection.raw.send(OK).await;
        }
    })
    .await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    for _ in 0..2 {
        client.send(upload("Transfer-Encoding: chunked\r\n")).await;
        assert_eq!(client.read_head().await.unwrap(), CONTINUE);
        client.send("4\r\nbody\r\n0\r\n\r\n").await;
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(client.read_exact(2).await, b"ok");
        assert!(origin.event().await.contains("4\r\nbody\r\n0\r\n"));
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn an_upload_that_its_backend_refuses_is_never_asked_for() {
    for (status, fields) in [
        ("417 Expectation Failed", "Content-Length: 999999999\r\n"),
        ("413 Content Too Large", "Content-Length: 999999999\r\n"),
        ("401 Unauthorized", "Transfer-Encoding: chunked\r\n"),
    ] {
        let mut origin = Origin::start(move |mut connection: OriginConnection| async move {
            connection.raw.read_head().await;
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno");
            connection.raw.send(answer).await;
            let rest = connection.raw.read_to_end().await;
            connection.tell(rest);
        })
        .await;
        let service = serve(&[origin.address]).await;
        let answer = ask(service.h1, upload(fields)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\nno"), "{answer}");
        assert_eq!(header(&answer, "connection"), Some("close"));
        assert_eq!(origin.event().await, "", "nothing of the body was sent");
        service.in_flight(0).await;

        ask(
            service.h1,
            "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(origin.connections(), 2, "the first stood in a request");
    }
}

#[tokio::test]
async fn a_backend_that_says_nothing_gets_the_upload_after_a_second() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    let start = Instant::now();
    client.send(upload("Content-Length: 4\r\n")).await;
    assert_eq!(client.read_head().await.unwrap(), CONTINUE);
    assert!(start.elapsed() >= Duration::from_secs(1));
    client.send("body").await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(origin.event().await.ends_with("\r\n\r\nbody"));
}

#[tokio::test]
async fn a_backend_that_answers_before_it_reads_gets_what_a_client_sends_unasked() {
    let mut origin = Origin::start(|mut connection: OriginConnection| async move {
        connection.raw.read_head().await;
        let begin = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
        connection.raw.send(begin).await;
        let body = connection.raw.read_exact(4).await;
        connection.tell(String::from_utf8(body).unwrap());
        connection.raw.send("0\r\n\r\n").await;
    })
    .await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    client.send(upload("Content-Length: 4\r\n") + "body").await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(origin.event().await, "body");
    assert_eq!(client.read_to_end().await, "2\r\nok\r\n0\r\n\r\n");
}

#[tokio::test]
async fn who_expects_something_else_or_speaks_an_older_version_does_not_wait() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    for (version, expectation) in [("1.1", "200-ok"), ("1.0", "100-continue")] {
        let request = format!(
            "PUT / HTTP/{version}\r\nHost: www.example.org\r\nConnection: close\r\nExpect: {expectation}\r\n\
             Content-Length: 4\r\n\r\nbody"
        );
        let answer = ask(service.h1, request).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 "),
            "{answer}"
        );
        let seen = origin.event().await;
        assert!(seen.ends_with("\r\n\r\nbody"), "{seen}");
        assert_eq!(header(&seen, "expect"), None);
    }
}

#[tokio::test]
async fn an_upload_over_http_2_waits_for_the_same_word() {
    let asked = std::sync::Arc::new(Notify::new());
    let said = std::sync::Arc::clone(&asked);
    let mut origin = Origin::start(move |mut connection: OriginConnection| {
        let said = std::sync::Arc::clone(&said);
        async move {
            let head = connection.raw.read_head().await.unwrap();
            connection.tell(head.clone());
            said.notified().await;
            connection.raw.send(CONTINUE).await;
            let body = connection.raw.read_body(&head).await.unwrap();
            connection.tell(body);
            connection.raw.send(OK).await;
        }
    })
    .await;
    let service = serve(&[origin.address]).await;
    let piece = http_body::Frame::data(bytes::Bytes::from_static(b"body"));
    let request = Request::put("https://www.example.org/")
        .header("expect", "100-continue")
        .body(frames(vec![piece]))
        .unwrap();
    let mut client = service.client2().await;
    let response = client.send_request(request);
    let (response, ()) = tokio::join!(response, async {
        let head = origin.event().await;
        assert_eq!(header(&head, "expect"), Some("100-continue"));
        assert!(origin.is_quiet());
        asked.notify_one();
        assert!(origin.event().await.contains("body"));
    });
    assert_eq!(response.unwrap().collect().await.unwrap().to_bytes(), "ok");
}

async fn impatient(origin: &Origin) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream = Options {
        response_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    setup
        .site("www.example.org", &[origin.address])
        .start()
        .await
}

#[tokio::test]
async fn a_backend_that_never_answers_is_out_of_time_though_nothing_was_sent() {
    let origin = Origin::start(|mut connection: OriginConnection| async move {
        connection.raw.read_to_end().await;
    })
    .await;
    let service = impatient(&origin).await;
    let answer = soon(ask(service.h1, upload("Content-Length: 4\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    service.in_flight(0).await;
}
