//! HTTP/1 requests with ambiguous framing or target: each is refused, or reaches the backend with one meaning only.

use super::fixtures::{ask2_raw, setup};
use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{ask, header};
use crate::harness::service::serve;

/// A request that a different parser would find after the first one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: www.example.org\r\n\r\n";

/// Sends a request with these lines after its Host; expects `status`, a closed connection and nothing at the backend.
async fn refused(lines: &str, body: &str, status: u16) {
    let (mut origin, service) = setup().await;
    let request =
        format!("POST / HTTP/1.1\r\nHost: www.example.org\r\n{lines}\r\n{body}{SMUGGLED}");
    let answer = ask(service.h1, request).await;
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{lines:?}: {answer}"
    );
    assert_eq!(
        answer.matches("HTTP/1.1 ").count(),
        1,
        "{lines:?}: {answer}"
    );
    assert!(origin.is_quiet(), "{lines:?}");
}

#[tokio::test]
async fn transfer_codings_other_than_a_single_chunked_are_refused() {
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    for (lines, status) in [
        ("Transfer-Encoding: xchunked\r\n", 400),
        ("Transfer-Encoding: chunked, identity\r\n", 400),
        ("Transfer-Encoding: identity\r\n", 400),
        ("Transfer-Encoding:\r\n", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            400,
        ),
        ("Transfer-Encoding: \x0bchunked\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Transfer-Encoding: \"chunked\"\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: identity, chunked\r\n", 501),
        ("Transfer-Encoding: chunked, chunked\r\n", 501),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            501,
        ),
    ] {
        refused(lines, chunks, status).await;
    }
}

#[tokio::test]
async fn a_content_length_that_is_not_a_single_number_is_refused() {
    for value in [
        "+5",
        "-5",
        "5,6",
        "5, 5",
        "0x5",
        "5 5",
        "",
        "18446744073709551621",
        "5\0",
    ] {
        refused(&format!("Content-Length: {value}\r\n"), "abcde", 400).await;
    }
    refused("Content-Length: 5\r\nContent-Length: 6\r\n", "abcde", 400).await;
}

#[tokio::test]
async fn malformed_fields_are_refused() {
    for lines in [
        "X: a\0b\r\n",
        "X: a\rb\r\n",
        " X: folded\r\n",
        "X: a\r\n folded\r\n",
        "X : a\r\n",
        ": empty\r\n",
        "X\r\n",
        "X(y): a\r\n",
    ] {
        refused(lines, "", 400).await;
    }
}

#[tokio::test]
async fn a_coding_beside_a_length_is_refused() {
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: x\r\n",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n",
    ] {
        refused(lines, chunks, 400).await;
    }
}

#[tokio::test]
async fn more_than_one_content_length_is_refused() {
    let lines = "Content-Length: 5\r\nContent-Length: 5\r\n";
    refused(lines, "abcde", 400).await;
    let lines = "Content-Length: 5\r\nContent-Length: 5\r\nConnection: close, content-length\r\n";
    refused(lines, "abcde", 400).await;
}

#[tokio::test]
async fn a_transfer_coding_in_http_1_0_is_refused() {
    let (mut origin, service) = setup().await;
    let request = "POST / HTTP/1.0\r\nHost: www.example.org\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = ask(service.h1, request).await;
    assert!(answer.contains(" 400 "), "{answer}");
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn the_framing_of_a_body_does_not_depend_on_the_method() {
    for method in ["GET", "DELETE", "OPTIONS", "HEAD"] {
        let (mut origin, service) = setup().await;
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: www.example.org\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
             5;ext=1\r\nabcde\r\n0\r\n\r\n"
        );
        ask(service.h1, request).await;
        let seen = origin.event().await;
        assert!(seen.starts_with(method), "{seen}");
        assert_eq!(
            header(&seen, "transfer-encoding"),
            Some("chunked"),
            "{seen}"
        );
        assert!(seen.ends_with("\r\n\r\n5\r\nabcde\r\n0\r\n"), "{seen}");
    }
}

#[tokio::test]
async fn an_upload_with_broken_chunks_never_looks_complete() {
    for chunks in [
        "3\nabc\r\n0\r\n\r\n",
        "0_3\r\nabc\r\n0\r\n\r\n",
        "3 x\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "zz\r\n",
    ] {
        let mut origin = Origin::start(|mut connection| async move {
            let received = connection.raw.read_to_end().await;
            connection.tell(received);
        })
        .await;
        let service = serve(&[origin.address]).await;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: www.example.org\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        );
        let answer = ask(service.h1, request).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{chunks:?}: {answer}"
        );
        let received = origin.event().await;
        assert!(!received.contains("\r\n0\r\n"), "{chunks:?}: {received}");
    }
}

#[tokio::test]
async fn a_request_has_exactly_one_valid_host() {
    for (host, status) in [
        ("", 400),
        ("Host: www.example.org\r\nHost: www.example.org\r\n", 400),
        ("Host: www.example.org\r\nHost: evil.example\r\n", 400),
        ("Host:\r\n", 400),
        ("Host: user@www.example.org\r\n", 400),
        ("Host: www.example.org, evil.example\r\n", 400),
        ("Host: www.example.org/x\r\n", 400),
        ("Host: evil.example\r\n", 421),
    ] {
        let (mut origin, service) = setup().await;
        let request = format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        let answer = ask(service.h1, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host:?}: {answer}"
        );
        assert!(origin.is_quiet());
    }
}

#[tokio::test]
async fn the_authority_of_an_absolute_target_becomes_the_host_field() {
    let (mut origin, service) = setup().await;
    ask(
        service.h1,
        "GET http://www.example.org/x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    )
    .await;
    let seen = origin.event().await;
    assert!(seen.starts_with("GET /x HTTP/1.1\r\n"), "{seen}");
    assert_eq!(header(&seen, "host"), Some("www.example.org"));
    let request =
        "GET http://evil.example/x HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
    assert!(ask(service.h1, request).await.starts_with("HTTP/1.1 421 "));
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn targets_that_are_not_a_path_are_refused() {
    for (line, status) in [
        ("GET * HTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET /a\x7fb HTTP/1.1", 400),
        ("GET /a\0b HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET www.example.org:443 HTTP/1.1", 400),
        ("GET ftp://www.example.org/ HTTP/1.1", 400),
        ("GET http://u@www.example.org/ HTTP/1.1", 400),
        ("CONNECT www.example.org:443 HTTP/1.1", 405),
    ] {
        let (mut origin, service) = setup().await;
        let request = format!("{line}\r\nHost: www.example.org\r\nConnection: close\r\n\r\n");
        let answer = ask(service.h1, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line:?}: {answer}"
        );
        assert!(origin.is_quiet());
    }
}

#[tokio::test]
async fn the_fragment_of_an_http2_target_is_cut_by_the_library() {
    let (mut origin, service) = setup().await;
    let fields: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"www.example.org"),
        (b":path", b"/a?b#c"),
    ];
    ask2_raw(&service, &fields, true).await;
    while let Ok(seen) = tokio::time::timeout(std::time::Duration::ZERO, origin.event()).await {
        assert!(seen.starts_with("GET /a?b HTTP/1.1\r\n"), "{seen}");
    }
}
