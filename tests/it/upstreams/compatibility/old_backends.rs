//! Old and odd backends: what they send that no new server sends, and what they need.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proxy::tasks::Tasks;
use proxy::upstream::{HeaderCase, HttpVersion, TlsOptions};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::fixtures::{OK, last};
use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::origin::Origin;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::raw::{ask, header};
use crate::harness::service::{Service, ServiceSetup, empty, frames, serve};

const FOLDED: &str = "add_header Content-Security-Policy \"
    default-src 'self';
    img-src *;
 \"; location / { return 200 hello; }";

async fn serve_insecure(url: &str, version: HttpVersion) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream.http.version = version;
    setup.upstream.tls = TlsOptions {
        is_insecure: true,
        ..TlsOptions::default()
    };
    setup.upstream(&[url], None).start().await
}

async fn get(service: &Service) -> Response<Incoming> {
    let request = Request::get("/").header("host", "www.example.org");
    service.fetch1(request.body(empty()).unwrap()).await
}

#[tokio::test]
async fn the_folded_field_of_a_real_nginx_reaches_both_kinds_of_clients_on_one_line() {
    let nginx = Nginx::start(&TestCa::root("backends"), FOLDED).await;
    let service = serve_insecure(&nginx.url(), HttpVersion::Any).await;
    let request = || {
        let request = Request::get("https://www.example.org/");
        let request = request.header("host", "www.example.org");
        request.body(empty()).unwrap()
    };
    for response in [
        service.fetch1(request()).await,
        service.fetch2(request()).await,
    ] {
        assert_eq!(response.status(), 200);
        let policy = response.headers()["content-security-policy"].to_str();
        let words: Vec<_> = policy.unwrap().split_whitespace().collect();
        assert_eq!(words, ["default-src", "'self';", "img-src", "*;"]);
    }
}

#[tokio::test]
async fn spaces_before_a_colon_and_later_versions_are_understood_and_not_passed_on() {
    for answer in [
        "HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx-a:\r\n\tb\r\ncontent-length : 2\r\n\r\nok",
        "HTTP/1.2 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.9 103 Early Hints\r\n\r\nHTTP/1.9 200 OK\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let origin = Origin::answering(answer).await;
        let service = serve(&[origin.address]).await;
        // Twice, since the second request uses the same connection.
        for _ in 0..2 {
            let seen = ask(service.h1, last("GET", "")).await;
            assert!(
                seen.starts_with("HTTP/1.1 200 OK\r\n"),
                "{answer:?}: {seen}"
            );
            assert_eq!(header(&seen, "x-a"), Some("b"), "{answer:?}: {seen}");
            assert!(seen.contains("ok"), "{answer:?}: {seen}");
        }
        assert_eq!(origin.connections(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_with_a_folded_field_or_a_space_before_a_colon_is_still_refused() {
    let service = serve(&[Origin::ok().await.address]).await;
    for field in ["x-a : b\r\n", "x-a: b\r\n c\r\n"] {
        let seen = ask(service.h1, last("GET", field)).await;
        assert!(seen.starts_with("HTTP/1.1 400 "), "{seen}");
    }
}

#[tokio::test]
async fn a_response_may_have_256_fields() {
    for (count, status) in [(255, 200), (256, 502)] {
        let fields: String = (0..count).map(|n| format!("x-{n}: {n}\r\n")).collect();
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok");
        let origin = Origin::answering(answer).await;
        let service = serve(&[origin.address]).await;
        let seen = ask(service.h1, last("GET", "")).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(seen.starts_with(&expected), "{count}: {seen}");
    }
}

#[tokio::test]
async fn a_device_that_needs_it_gets_field_names_in_title_case() {
    let mut origin = Origin::answering(OK).await;
    let mut setup = ServiceSetup::new();
    setup.upstream.http.header_case = HeaderCase::Title;
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    ask(service.h1, last("GET", "x-api-key: 1\r\n")).await;
    let request = origin.event().await;
    for line in ["Host: www.example.org", "X-Api-Key: 1", "X-Forwarded-For: "] {
        assert!(request.contains(&format!("\r\n{line}")), "{request}");
    }
}

#[tokio::test]
async fn an_https_backend_can_be_held_to_http_1_1() {
    let facts = "add_header x-protocol $server_protocol; location / { return 200; }";
    let nginx = Nginx::start_http2(&TestCa::root("backends"), facts).await;
    for (version, protocol) in [
        (HttpVersion::Any, "HTTP/2.0"),
        (HttpVersion::Http1, "HTTP/1.1"),
    ] {
        let service = serve_insecure(&nginx.url(), version).await;
        for _ in 0..2 {
            let response = get(&service).await;
            assert_eq!(response.headers()["x-protocol"], protocol);
            response.into_body().collect().await.unwrap();
        }
    }
}

/// Starts a backend that resets each request over HTTP/2 with HTTP_1_1_REQUIRED, and answers over HTTP/1.1. Counts the
/// connections of either version.
async fn start_requiring_http1(
    tasks: &Tasks,
) -> (
    SocketAddr,
    tokio::sync::mpsc::UnboundedReceiver<&'static str>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = (*TestCa::root("backends").loopback_server().tls).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (sender, events) = tokio::sync::mpsc::unbounded_channel();
    let group = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            group.spawn(async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    sender.send("h2").unwrap();
                    let mut session = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((_, mut respond))) = session.accept().await {
                        respond.send_reset(h2::Reason::HTTP_1_1_REQUIRED);
                    }
                } else {
                    sender.send("http/1.1").unwrap();
                    let mut bytes = [0; 4096];
                    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                        stream.write_all(OK.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (address, events)
}

#[tokio::test]
async fn a_backend_that_requires_http_1_1_gets_the_request_again_and_all_later_ones_so() {
    for method in [Method::GET, Method::POST] {
        let tasks = Tasks::new();
        let (address, mut events) = start_requiring_http1(&tasks).await;
        let service = serve_insecure(&format!("https://{address}"), HttpVersion::Any).await;
        for _ in 0..3 {
            let request = Request::builder().method(method.clone()).uri("/");
            let request = request.header("host", "www.example.org");
            let response = service.fetch1(request.body(empty()).unwrap()).await;
            assert_eq!(response.status(), 200, "{method}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "ok");
        }
        let mut seen = Vec::new();
        while let Ok(event) = events.try_recv() {
            seen.push(event);
        }
        assert_eq!(seen, ["h2", "http/1.1"], "{method}");
    }
}

#[tokio::test]
async fn a_request_with_a_body_fails_once_where_http_1_1_is_required() {
    let tasks = Tasks::new();
    let (address, _events) = start_requiring_http1(&tasks).await;
    let service = serve_insecure(&format!("https://{address}"), HttpVersion::Any).await;
    for status in [502, 200] {
        let body = frames(vec![hyper::body::Frame::data(Bytes::from_static(b"once"))]);
        let request = Request::post("/").header("host", "www.example.org");
        let response = service.fetch1(request.body(body).unwrap()).await;
        assert_eq!(response.status(), status);
    }
}
