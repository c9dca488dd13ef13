//! Reuse and end of connections to backends.

use std::time::Duration;

use super::fixtures::{OK, last, warm_up};
use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::ask;
use crate::harness::service::{ServiceSetup, serve};

#[tokio::test]
async fn connections_that_the_backend_closes_are_not_reused() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n\r\nok",
    ] {
        let mut origin = Origin::start(move |mut connection| async move {
            connection.read_request().await;
            connection.raw.send(answer).await;
            connection.raw.finish().await;
            connection.raw.read_to_end().await;
        })
        .await;
        let service = serve(&[origin.address]).await;
        for count in 1..=3 {
            let seen = ask(service.h1, last("POST", "")).await;
            assert!(seen.starts_with("HTTP/1.1 200 "), "{seen}");
            origin.event().await;
            assert_eq!(origin.connections(), count, "{answer}");
        }
    }
}

#[tokio::test]
async fn a_connection_of_http_1_0_carries_no_later_upload() {
    let mut origin = Origin::answering(
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok",
    )
    .await;
    let service = serve(&[origin.address]).await;
    warm_up(&service, &mut origin).await;
    let upload = last("POST", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n";
    ask(service.h1, upload).await;
    let seen = origin.event().await;
    assert!(seen.contains("\r\n\r\n3\r\nabc\r\n0"), "{seen}");
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn extra_bytes_after_a_response_end_its_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        "HTTP/1.1 204 No Content\r\n\r\nevil",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil",
    ] {
        let mut origin = Origin::answering_once(answer).await;
        let service = serve(&[origin.address]).await;
        for _ in 0..2 {
            let seen = ask(service.h1, last("GET", "")).await;
            assert!(!seen.contains("evil"), "{seen}");
            assert_eq!(seen.lines().next(), answer.lines().next());
            origin.event().await;
            assert_eq!(origin.event().await, "closed");
        }
        assert_eq!(origin.connections(), 2);
    }
}

#[tokio::test]
async fn a_response_with_both_kinds_of_length_ends_its_connection() {
    let mut origin = Origin::answering_once(
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let service = serve(&[origin.address]).await;
    for _ in 0..2 {
        let seen = ask(service.h1, last("GET", "")).await;
        assert!(seen.contains("ok"), "{seen}");
        origin.event().await;
        assert_eq!(origin.event().await, "closed");
    }
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let mut origin = Origin::answering_once(OK).await;
    let mut setup = ServiceSetup::new();
    setup.upstream.idle_timeout = Duration::from_millis(80);
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    warm_up(&service, &mut origin).await;
    assert_eq!(origin.event().await, "closed");
}

#[tokio::test]
async fn a_drain_closes_idle_connections_and_waits_for_busy_ones() {
    let mut origin = Origin::answering_once(OK).await;
    let service = serve(&[origin.address]).await;
    warm_up(&service, &mut origin).await;
    service.tasks.stop();
    assert_eq!(origin.event().await, "closed");
}
