//! Request smuggling: bytes that only one side takes for the end of a message, such as requests inside bodies, endless
//! framing and endless interim responses.

use std::time::Duration;

use proxy::proxy::{GuardOptions, NetworkOptions};
use proxy::upstream::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::backends::origin::{Origin, OriginConnection};
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;
use crate::harness::service::{Service, ServiceSetup, serve};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";

/// Starts a service whose site `kept-out.example.org` denies everybody.
async fn serve_two_sites(origin: &Origin) -> Service {
    let guards = GuardOptions {
        networks: NetworkOptions {
            deny: vec!["127.0.0.0/8".parse().unwrap()],
            ..NetworkOptions::default()
        },
        ..GuardOptions::default()
    };
    ServiceSetup::new()
        .site("www.example.org", &[origin.address])
        .site("kept-out.example.org", &[origin.address])
        .guarded(&guards)
        .start()
        .await
}

/// Sends all bytes; returns the answer and the requests that the backend got.
async fn forwarded(origin: &mut Origin, service: &Service, bytes: &str) -> (String, Vec<String>) {
    let answer = ask(service.h1, bytes).await;
    service.in_flight(0).await;
    let mut seen = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::ZERO, origin.event()).await {
        seen.push(event);
    }
    (answer, seen)
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_never_read_as_a_request() {
    let len = SMUGGLED.len();
    for (host, fields, body, status) in [
        (
            "other.example",
            format!("Content-Length: {len}\r\n"),
            SMUGGLED.to_owned(),
            421,
        ),
        (
            "kept-out.example.org",
            format!("Content-Length: {len}\r\n"),
            SMUGGLED.to_owned(),
            403,
        ),
        (
            "kept-out.example.org",
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("{len:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"),
            403,
        ),
        (
            "kept-out.example.org",
            format!("Expect: 100-continue\r\nContent-Length: {len}\r\n"),
            SMUGGLED.to_owned(),
            403,
        ),
    ] {
        let mut origin = Origin::ok().await;
        let service = serve_two_sites(&origin).await;
        let bytes = format!("POST / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n{body}{LAST}");
        let (answer, seen) = forwarded(&mut origin, &service, &bytes).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.matches("HTTP/1.1 ").count() <= 2, "{answer}");
        assert!(
            seen.iter().all(|seen| seen.starts_with("GET /last ")),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn the_body_of_an_unread_upload_is_never_read_as_a_request() {
    let mut origin = Origin::start(|mut connection: OriginConnection| async move {
        let head = connection.raw.read_head().await.unwrap();
        let answer = "HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n";
        connection.raw.send(answer).await;
        let rest = connection.raw.read_to_end().await;
        connection.tell(head + &rest);
    })
    .await;
    let service = serve(&[origin.address]).await;
    let len = SMUGGLED.len();
    let upload = format!(
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nExpect: 100-continue\r\nContent-Length: {len}\r\n\r\n{SMUGGLED}{LAST}"
    );
    let answer = ask(service.h1, upload).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let seen = origin.event().await;
    assert!(
        seen.starts_with("POST / ") && !seen.contains("GET /"),
        "{seen}"
    );
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn a_request_body_never_ends_with_its_connection() {
    for version in ["1.0", "1.1"] {
        let mut origin = Origin::ok().await;
        let service = serve(&[origin.address]).await;
        let mut client = RawStream::connect(service.h1).await;
        client
            .send(format!("POST /a HTTP/{version}\r\nHost: www.example.org\r\nConnection: close\r\n\r\n{SMUGGLED}"))
            .await;
        client.finish().await;
        let answer = client.read_to_end().await;
        assert!(answer.contains(" 200 OK\r\n"), "{answer}");
        let seen = origin.event().await;
        assert_eq!(header(&seen, "content-length"), Some("0"));
        assert!(seen.ends_with("\r\n\r\n"), "{seen}");
        assert!(origin.is_quiet());
    }
}

#[tokio::test]
async fn chunk_extensions_and_trailers_are_bounded_and_dropped() {
    let long = "x".repeat(200_000);
    let many = "x: y\r\n".repeat(5_000);
    for chunks in [
        format!("3;{long}\r\nabc\r\n0\r\n\r\n"),
        format!("3\r\nabc\r\n0\r\nx: {long}\r\n\r\n"),
        format!("3\r\nabc\r\n0\r\n{many}\r\n"),
    ] {
        let mut origin = Origin::start(|mut connection: OriginConnection| async move {
            let seen = connection.raw.read_to_end().await;
            connection.tell(seen);
        })
        .await;
        let service = serve(&[origin.address]).await;
        let request =
            "POST / HTTP/1.1\r\nHost: www.example.org\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = ask(service.h1, format!("{request}{chunks}")).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
        let seen = origin.event().await;
        assert!(
            !seen.ends_with("0\r\n\r\n") && !seen.contains("xxx"),
            "{}",
            seen.len()
        );
    }
}

#[tokio::test]
async fn trailers_cannot_hold_fields_that_frame_or_route_a_message() {
    let mut origin = Origin::start(|mut connection: OriginConnection| async move {
        let head = connection.raw.read_head().await.unwrap();
        let body = connection.raw.read_until("x-sum: 7\r\n\r\n").await;
        connection.tell(head + &body.unwrap_or_default());
        connection
            .raw
            .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    })
    .await;
    let service = serve(&[origin.address]).await;
    let answer = ask(
        service.h1,
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         Trailer: host, content-length, transfer-encoding, x-forwarded-for, x_real_ip, Proxy, http2_settings, x-sum\r\n\r\n\
         3\r\nabc\r\n0\r\nHost: evil.example\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nX-Forwarded-For: 10.0.0.1\r\nX_Real_IP: 10.0.0.1\r\n\
         Proxy: http://evil.example\r\nHTTP2_Settings: AAMAAABk\r\nCache_Control: no-store\r\nX-Sum: 7\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = origin.event().await;
    let (head, trailers) = seen.split_once("0\r\n").unwrap();
    assert_eq!(trailers, "x-sum: 7\r\n\r\n");
    assert_eq!(header(head, "trailer"), Some("x-sum"), "{head}");
}

#[tokio::test]
async fn trailers_cannot_restore_fields_that_the_site_sets_or_removes() {
    let mut origin = Origin::start(|mut connection: OriginConnection| async move {
        let head = connection.raw.read_head().await.unwrap();
        let body = connection.raw.read_until("0\r\n").await.unwrap();
        let rest = connection.raw.read_until("\r\n").await.unwrap();
        connection.tell(head + &body + &rest);
        connection
            .raw
            .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    })
    .await;
    let text = format!(
        "[sites.localhost]\nupstream = \"{}\"\nrequest-id = true\n\
         request-headers = {{ set = {{ X-Tenant = \"a\" }}, remove = [\"X-Debug\"] }}\n",
        origin.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client().alpn("http/1.1");
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
             Trailer: x-tenant, X-Debug, x-request-id\r\n\r\n\
             3\r\nabc\r\n0\r\nX-Tenant: b\r\nX_Debug: 1\r\nX-Request-Id: mine\r\n\r\n",
        )
        .await
        .unwrap();
    let seen = origin.event().await;
    assert_eq!(header(&seen, "x-tenant"), Some("a"));
    assert_eq!(header(&seen, "trailer"), None);
    assert!(seen.ends_with("\r\n0\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn endless_interim_responses_time_out() {
    let mut origin = Origin::start(|mut connection: OriginConnection| async move {
        connection.raw.read_head().await;
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100);
        let flood = async {
            loop {
                connection.raw.send(&interim).await;
                tokio::task::yield_now().await;
            }
        };
        // The proxy may continue to send until it sees that the other side has closed.
        let _ = tokio::time::timeout(Duration::from_secs(1), flood).await;
        connection.tell("flooded");
    })
    .await;
    let mut setup = ServiceSetup::new();
    setup.upstream = Options {
        response_timeout: Some(Duration::from_millis(300)),
        ..Options::default()
    };
    let setup = setup.site("www.example.org", &[origin.address]);
    let service = setup.start().await;
    let answer = ask(service.h1, LAST).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    service.in_flight(0).await;
    origin.event().await;
}

#[tokio::test]
async fn response_heads_are_parsed_as_strictly_as_request_heads() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
        "y".repeat(100_000)
    );
    for answer in [
        "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: empty\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx(y): a\r\ncontent-length: 0\r\n\r\n",
        "HTTP/2 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok",
        long.as_str(),
    ] {
        let origin = Origin::answering(answer.to_owned()).await;
        let service = serve(&[origin.address]).await;
        let seen = ask(service.h1, LAST).await;
        assert!(seen.starts_with("HTTP/1.1 502 "), "{answer:?}: {seen}");
    }
}

/// Returns what a client of HTTP/1.0 reads over TLS, and whether the end came with close_notify.
async fn read_http_1_0(answer: &'static str) -> (String, bool) {
    let origin = Origin::start(move |mut connection: OriginConnection| async move {
        connection.read_request().await;
        connection.raw.send(answer).await;
    })
    .await;
    let proxyfile = format!("[sites]\n\"localhost\" = \"{}\"\n", origin.address);
    let proxy = ProxySetup::new().proxyfile(&proxyfile).start().await;
    let client = proxy.client().alpn("http/1.1");
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let request = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut seen = Vec::new();
    let outcome = soon(stream.read_to_end(&mut seen)).await;
    (String::from_utf8(seen).unwrap(), outcome.is_ok())
}

#[tokio::test]
async fn a_connection_ends_with_close_notify_only_after_a_whole_body() {
    let whole = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n";
    let (seen, is_said) = read_http_1_0(whole).await;
    assert!(seen.ends_with("\r\n\r\nwhole") && is_said, "{seen}");

    let cut = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n";
    let (seen, is_said) = read_http_1_0(cut).await;
    assert!(!is_said, "{seen}");
}
