//! Backends and clients that break off, stall or lie during an exchange.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proxy::proxy::{AccessLog, AccessLogOptions, AccessLogTarget};
use proxy::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup, empty, serve};

const URL2: &str = "https://www.example.org/";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn get() -> String {
    "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n".to_owned()
}

fn last(method: &str, fields: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n{fields}\r\n")
}

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

/// Sends a request so that one idle connection is in the pool.
async fn warm_up(service: &Service, origin: &mut Origin) {
    let mut client = RawStream::connect(service.h1).await;
    client.send(get()).await;
    client.read_until("ok").await.unwrap();
    origin.event().await;
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
        let mut origin = Origin::start(move |mut connection| async move {
            connection.read_request().await;
            connection.raw.send(answer).await;
            connection.raw.read_to_end().await;
            connection.tell("closed");
        })
        .await;
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
async fn idle_connections_are_closed_in_time() {
    let mut origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.send(OK).await;
        connection.raw.read_to_end().await;
        connection.tell("closed");
    })
    .await;
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
    let mut origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.send(OK).await;
        connection.raw.read_to_end().await;
        connection.tell("closed");
    })
    .await;
    let service = serve(&[origin.address]).await;
    warm_up(&service, &mut origin).await;
    service.tasks.stop();
    assert_eq!(origin.event().await, "closed");
}

#[tokio::test]
async fn a_malformed_response_is_a_bad_gateway() {
    for answer in [
        "garbage\r\n\r\n",
        "HTTP/1.1 xyz Bad\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let origin = Origin::answering(answer).await;
        let service = serve(&[origin.address]).await;
        let seen = ask(service.h1, last("GET", "")).await;
        assert!(seen.starts_with("HTTP/1.1 502 "), "{answer:?}: {seen}");
        assert!(!seen.contains("127.0.0.1"), "{seen}");
    }
}

#[tokio::test]
async fn the_framing_of_a_response_is_never_copied() {
    for (answer, length) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            None,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
            Some("2"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
            Some("2"),
        ),
    ] {
        let origin = Origin::answering(answer).await;
        let service = serve(&[origin.address]).await;
        let seen = ask(service.h1, last("GET", "")).await;
        assert_eq!(header(&seen, "content-length"), length, "{seen}");
        assert_eq!(
            seen.matches("content-length").count(),
            usize::from(length.is_some()),
            "{seen}"
        );
        let response = service
            .fetch2(Request::get(URL2).body(empty()).unwrap())
            .await;
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "ok"
        );
    }
}

#[tokio::test]
async fn an_unreachable_backend_is_a_bad_gateway() {
    let service = serve(&[refusing_address().await, refusing_address().await]).await;
    let seen = ask(service.h1, last("GET", "")).await;
    assert!(seen.starts_with("HTTP/1.1 502 "), "{seen}");
    assert!(!seen.contains("127.0.0.1"), "{seen}");
    let service = serve(&[]).await;
    assert!(
        ask(service.h1, last("GET", ""))
            .await
            .starts_with("HTTP/1.1 503 ")
    );
}

#[tokio::test]
async fn a_response_that_does_not_begin_is_a_gateway_timeout_and_ends_its_connection() {
    let mut origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.read_to_end().await;
        connection.tell("closed");
    })
    .await;
    let mut setup = ServiceSetup::new();
    setup.upstream.response_timeout = Duration::from_millis(50);
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
async fn the_response_timeout_does_not_run_during_an_active_upload() {
    let origin = Origin::ok().await;
    let mut setup = ServiceSetup::new();
    setup.upstream.response_timeout = Duration::from_secs(1);
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

const CUT: [&str; 3] = [
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart",
];

async fn cut(answer: &'static str) -> Origin {
    Origin::start(move |mut connection| async move {
        connection.read_request().await;
        connection.raw.send(answer).await;
    })
    .await
}

#[tokio::test]
async fn a_truncated_response_never_looks_complete_over_http1() {
    for answer in CUT {
        let origin = cut(answer).await;
        let service = serve(&[origin.address]).await;
        let seen = ask(service.h1, get()).await;
        assert!(!seen.contains("0\r\n\r\n"), "{seen}");
        let request = Request::get("/")
            .header("host", "www.example.org")
            .body(empty())
            .unwrap();
        let Ok(response) = fetch1(&service, request).await else {
            continue;
        };
        assert!(
            soon(response.into_body().collect()).await.is_err(),
            "{answer}"
        );
    }
}

/// Like `Service::fetch1`, but for answers that may not even have a head.
async fn fetch1(
    service: &Service,
    request: Request<crate::harness::service::AnyBody>,
) -> hyper::Result<hyper::Response<Incoming>> {
    let stream = TcpStream::connect(service.h1).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    service.tasks.spawn(connection);
    soon(sender.send_request(request)).await
}

#[tokio::test]
async fn a_truncated_response_never_looks_complete_over_http2() {
    for answer in CUT {
        let origin = cut(answer).await;
        let service = serve(&[origin.address]).await;
        let request = Request::get(URL2).body(empty()).unwrap();
        let response = soon(service.client2().await.send_request(request)).await;
        // The reset may overtake the head.
        let error = match response {
            Ok(response) => soon(response.into_body().collect()).await.unwrap_err(),
            Err(error) => error,
        };
        let source = std::error::Error::source(&error).unwrap();
        let reset = source.downcast_ref::<h2::Error>().unwrap();
        assert_eq!(reset.reason(), Some(Reason::INTERNAL_ERROR), "{answer}");
    }
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

#[tokio::test]
async fn an_aborted_upload_never_looks_complete() {
    for fields in [
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "Content-Length: 5\r\n\r\nabc",
    ] {
        for is_reset in [false, true] {
            let mut origin = Origin::start(|mut connection| async move {
                connection.raw.read_until("abc").await.unwrap();
                connection.tell("begun");
                let rest = connection.raw.read_to_end().await;
                connection.tell(rest);
            })
            .await;
            let service = serve(&[origin.address]).await;
            let mut client = RawStream::connect(service.h1).await;
            client
                .send(format!(
                    "POST / HTTP/1.1\r\nHost: www.example.org\r\n{fields}"
                ))
                .await;
            origin.event().await;
            if is_reset {
                client.reset();
            } else {
                drop(client);
            }
            assert_eq!(origin.event().await.trim_start(), "", "{fields:?}");
        }
    }
}

#[tokio::test]
async fn a_reset_http2_upload_never_looks_complete() {
    for answer in ["", CUT[0]] {
        for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
            let mut origin = Origin::start(move |mut connection| async move {
                connection.raw.read_until("abc").await.unwrap();
                connection.raw.send(answer).await;
                connection.tell("begun");
                let rest = connection.raw.read_to_end().await;
                connection.tell(rest);
            })
            .await;
            let service = serve(&[origin.address]).await;
            let stream = TcpStream::connect(service.h2).await.unwrap();
            let (client, connection) = h2::client::handshake(stream).await.unwrap();
            service.tasks.spawn(connection);
            let mut client = soon(client.ready()).await.unwrap();
            let request = Request::post(URL2).body(()).unwrap();
            let (response, mut upload) = client.send_request(request, false).unwrap();
            upload.send_data(Bytes::from_static(b"abc"), false).unwrap();
            origin.event().await;
            let response = if answer.is_empty() {
                None
            } else {
                Some(soon(response).await.unwrap())
            };
            upload.send_reset(reason);
            assert_eq!(origin.event().await.trim_start(), "", "{reason:?}");
            drop(response);
        }
    }
}

#[tokio::test]
async fn a_request_is_cancelled_at_the_backend_when_its_client_leaves() {
    for answer in ["", CUT[0]] {
        let mut origin = Origin::start(move |mut connection| async move {
            connection.read_request().await;
            connection.raw.send(answer).await;
            connection.raw.read_to_end().await;
            connection.tell("closed");
        })
        .await;
        let service = serve(&[origin.address]).await;
        let mut client = RawStream::connect(service.h1).await;
        client.send(get()).await;
        origin.event().await;
        if !answer.is_empty() {
            client.read_until("part").await.unwrap();
        }
        drop(client);
        assert_eq!(origin.event().await, "closed");

        let mut client = service.client2().await;
        let request = client.send_request(Request::get(URL2).body(empty()).unwrap());
        let request = service.tasks.spawn(request);
        origin.event().await;
        if answer.is_empty() {
            request.abort();
        } else {
            drop(soon(request).await.unwrap());
        }
        assert_eq!(origin.event().await, "closed");
    }
}

#[tokio::test]
async fn a_response_head_may_have_64_kib_and_a_larger_one_is_reported() {
    let answer = |size: usize| {
        let field = "v".repeat(size);
        format!("HTTP/1.1 200 OK\r\nx-large: {field}\r\ncontent-length: 2\r\n\r\nok")
    };
    let origin = Origin::answering(answer(60 * 1024)).await;
    let taken = ask(serve(&[origin.address]).await.h1, last("GET", "")).await;
    assert!(taken.starts_with("HTTP/1.1 200 ") && taken.ends_with("ok"));
    let origin = Origin::answering(answer(100 * 1024)).await;
    let lines = tempfile::NamedTempFile::new().unwrap();
    let mut setup = ServiceSetup::new();
    let target = AccessLogTarget::File(lines.path().to_owned());
    let log = AccessLog::start(&AccessLogOptions::new(target), 1, &setup.tasks);
    setup.access_log = Some(log.unwrap());
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    let refused = ask(service.h1, last("GET", "")).await;
    assert!(refused.starts_with("HTTP/1.1 502 "), "{}", refused.len());
    soon(async {
        while !std::fs::read_to_string(lines.path())
            .unwrap()
            .contains("\"reason\":\"response-head-too-large\"")
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
