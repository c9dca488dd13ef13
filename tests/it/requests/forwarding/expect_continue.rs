//! `Expect: 100-continue`: the backend decides whether the upload is sent.

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
async fn the_proxy_sends_no_100_continue_for_an_upload_that_it_refuses() {
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

/// Returns `true` if a client gets nothing for a time that is long for this machine but short for the proxy's limit.
async fn receives_nothing(client: &mut RawStream) -> bool {
    let moment = Duration::from_millis(200);
    timeout(moment, client.read_head()).await.is_err()
}

#[tokio::test]
async fn a_100_continue_of_the_backend_reaches_the_client() {
    let (mut origin, responses) = Origin::driven().await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    client.send(upload("Content-Length: 4\r\n")).await;

    let head = origin.event().await;
    assert_eq!(header(&head, "expect"), Some("100-continue"));
    assert_eq!(header(&head, "content-length"), Some("4"));
    assert!(receives_nothing(&mut client).await);

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
async fn a_chunked_upload_gets_one_100_continue_and_arrives_whole() {
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
async fn an_upload_that_its_backend_refuses_gets_no_100_continue() {
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
        assert_eq!(origin.event().await, "", "no part of the body was sent");
        service.in_flight(0).await;

        ask(
            service.h1,
            "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(
            origin.connections(),
            2,
            "the first one was in the middle of a request"
        );
    }
}

#[tokio::test]
async fn a_silent_backend_gets_the_upload_after_a_second() {
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
async fn a_backend_that_answers_early_still_gets_an_upload_that_did_not_wait() {
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
async fn other_expectations_and_http_1_0_clients_do_not_wait() {
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
async fn an_upload_over_http_2_waits_for_100_continue_too() {
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

async fn serve_with_short_timeout(origin: &Origin) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream = Options {
        response_timeout: Some(Duration::from_millis(300)),
        ..Options::default()
    };
    setup
        .site("www.example.org", &[origin.address])
        .start()
        .await
}

#[tokio::test]
async fn a_backend_that_never_answers_times_out_before_the_upload_is_sent() {
    let origin = Origin::start(|mut connection: OriginConnection| async move {
        connection.raw.read_to_end().await;
    })
    .await;
    let service = serve_with_short_timeout(&origin).await;
    let answer = soon(ask(service.h1, upload("Content-Length: 4\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    service.in_flight(0).await;
}
