//! Backends that are unreachable, or whose responses are malformed or truncated.

use h2::Reason;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proxy::proxy::{AccessLog, AccessLogOptions, AccessLogTarget};
use tokio::net::TcpStream;

use super::fixtures::{CUT, URL2, get, last};
use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::clients::raw::{ask, header};
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup, empty, serve};

#[tokio::test]
async fn a_malformed_response_is_a_bad_gateway() {
    for answer in [
        "garbage\r\n\r\n",
        "HTTP/1.1 xyz Bad\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
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
