//! Time limits of responses and of uploads without progress.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::fixtures::{CUT, OK, get, last};
use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::service::{ServiceSetup, serve};

#[tokio::test]
async fn a_response_that_does_not_begin_is_a_gateway_timeout_and_ends_its_connection() {
    let mut origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.read_to_end().await;
        connection.tell("closed");
    })
    .await;
    let mut setup = ServiceSetup::new();
    setup.upstream.response_timeout = Some(Duration::from_millis(50));
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    for request in [
        last("GET", ""),
        last("POST", "Content-Length: 3\r\n") + "abc",
    ] {
        let seen = ask(service.h1, request).await;
        assert!(seen.starts_with("HTTP/1.1 504 "), "{seen}");
        origin.event().await;
        assert_eq!(origin.event().await, "closed");
    }
    service.in_flight(0).await;
}

#[tokio::test]
async fn grpc_waits_for_its_first_message_without_limit() {
    for (kind, status) in [("application/grpc", "200"), ("application/grpcx", "504")] {
        // Given a backend that has a request and is silent.
        let (mut origin, answers) = Origin::driven().await;
        let service = serve(&[origin.address]).await;
        let mut client = RawStream::connect(service.h1).await;
        let fields = format!("Content-Type: {kind}\r\nContent-Length: 3\r\n");
        client.send(last("POST", &fields) + "abc").await;
        origin.event().await;
        // When more time than the default time-out has passed, then only a gRPC call still waits for its answer.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(70)).await;
        tokio::time::resume();
        if status == "200" {
            answers.send(OK).unwrap();
        }
        let head = client.read_head().await.unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{kind}: {head}"
        );
    }
}

#[tokio::test]
async fn the_response_timeout_does_not_run_during_an_active_upload() {
    let origin = Origin::ok().await;
    let mut setup = ServiceSetup::new();
    setup.upstream.response_timeout = Some(Duration::from_secs(1));
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("POST / HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: 5\r\n\r\n")
        .await;
    let mut ticks = tokio::time::interval(Duration::from_millis(300));
    for _ in 0..5 {
        ticks.tick().await;
        client.send("x").await;
    }
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test]
async fn a_paused_response_is_not_cut() {
    let gate = Arc::new(Notify::new());
    let opener = Arc::clone(&gate);
    let origin = Origin::start(move |mut connection| {
        let gate = Arc::clone(&gate);
        async move {
            connection.read_request().await;
            connection.raw.send(CUT[0]).await;
            gate.notified().await;
            connection.raw.send("0\r\n\r\n").await;
        }
    })
    .await;
    let pause = Duration::from_millis(50);
    let service = ServiceSetup::new().body_timeout(pause);
    let service = service
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    let mut client = RawStream::connect(service.h1).await;
    client.send(get()).await;
    client.read_until("part\r\n").await.unwrap();

    // As with server-sent events, nothing comes for longer than the body time-out.
    let silence = tokio::time::timeout(4 * pause, client.read_until("\r\n")).await;
    assert!(silence.is_err());
    opener.notify_one();

    assert_eq!(
        client.read_until("0\r\n\r\n").await.as_deref(),
        Some("0\r\n\r\n")
    );
}

#[tokio::test]
async fn a_stalled_upload_is_a_request_timeout_and_never_looks_complete() {
    let mut origin = Origin::ok().await;
    let setup = ServiceSetup::new().body_timeout(Duration::from_millis(50));
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("POST / HTTP/1.1\r\nHost: www.example.org\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    let seen = client.read_to_end().await;
    assert!(seen.starts_with("HTTP/1.1 408 "), "{seen}");
    assert_eq!(header(&seen, "connection"), Some("close"));
    assert_eq!(origin.event().await, "broken");
}
