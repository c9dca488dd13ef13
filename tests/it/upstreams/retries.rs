//! Requests that are sent again after a failure, and those that are not.

use std::net::SocketAddr;

use http::Request;
use proxy::tasks::Tasks;
use tokio::net::TcpListener;

use super::fixtures::{OK, URL2, last, warm_up};
use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask};
use crate::harness::service::{empty, serve};

/// An origin whose first connection serves one request and closes without an answer when the second one comes.
async fn dying(is_reset: bool) -> Origin {
    Origin::start(move |mut connection| async move {
        let mut served = 0;
        while connection.read_request().await.is_some() {
            served += 1;
            if served > 1 && connection.number == 1 {
                return if is_reset {
                    connection.raw.reset()
                };
            }
            connection.raw.send(OK).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_idempotent_request_survives_the_end_of_a_reused_connection() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let mut origin = dying(method == "HEAD").await;
        let service = serve(&[origin.address]).await;
        warm_up(&service, &mut origin).await;
        let answer = ask(service.h1, last(method, "")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{method}: {answer}");
        // Failed on the old connection, answered on a new one.
        for _ in 0..2 {
            assert!(origin.event().await.starts_with(method));
        }
        assert_eq!(origin.connections(), 2);
    }
}

/// A backend that accepts one connection, answers one request on it, and closes at the second one.
async fn vanishing(tasks: &Tasks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut raw = RawStream::new(stream);
        raw.read_head().await;
        raw.send(OK).await;
        raw.read_head().await;
    });
    address
}

#[tokio::test]
async fn a_retry_skips_a_backend_that_has_gone() {
    let tasks = Tasks::new();
    let origin = Origin::ok().await;
    for _ in 0..5 {
        let service = serve(&[vanishing(&tasks).await, origin.address]).await;
        let mut client = service.client2().await;
        for _ in 0..20 {
            let request = Request::get(URL2).body(empty()).unwrap();
            assert_eq!(client.send_request(request).await.unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_processed_is_never_sent_twice() {
    for (method, fields, body) in [
        ("POST", "", ""),
        ("PATCH", "", ""),
        ("PUT", "Content-Length: 3\r\n", "abc"),
        (
            "DELETE",
            "Transfer-Encoding: chunked\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
        ),
    ] {
        let mut origin = dying(method == "PATCH").await;
        let service = serve(&[origin.address]).await;
        warm_up(&service, &mut origin).await;
        let answer = ask(service.h1, last(method, fields) + body).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{method}: {answer}");
        assert!(origin.event().await.starts_with(method));
        assert!(origin.is_quiet());
        assert_eq!(origin.connections(), 1);
    }
}

#[tokio::test]
async fn nothing_is_sent_a_third_time() {
    let mut origin = Origin::start(|mut connection| async move {
        if connection.number == 1 && connection.read_request().await.is_some() {
            connection.raw.send(OK).await;
        }
        connection.read_request().await;
    })
    .await;
    let service = serve(&[origin.address]).await;
    warm_up(&service, &mut origin).await;
    let answer = ask(service.h1, last("GET", "")).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_request_is_not_retried_once_an_answer_has_begun() {
    let mut origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.send(OK).await;
        connection.read_request().await;
        connection.raw.send("HTTP/1.1 20").await;
    })
    .await;
    let service = serve(&[origin.address]).await;
    warm_up(&service, &mut origin).await;
    let answer = ask(service.h1, last("GET", "")).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn the_first_request_on_a_connection_is_not_retried() {
    let origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
    })
    .await;
    let service = serve(&[origin.address]).await;
    let answer = ask(service.h1, last("GET", "")).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(origin.connections(), 1);
}
