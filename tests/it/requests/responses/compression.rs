//! Compression of responses in the coding that the client prefers, and responses that must stay uncompressed.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proxy::proxy::{Coding, CompressionOptions};

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup, empty};

async fn compressing(origin: &Origin) -> Service {
    let mut setup = ServiceSetup::new();
    setup.features.compression = Some(CompressionOptions::default());
    let setup = setup.site("www.example.org", &[origin.address]);
    setup.start().await
}

/// A response of this type with a compressible body.
fn page(fields: &str) -> String {
    let body = text();
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n{fields}\r\n{body}")
}

fn text() -> String {
    "all work and no play ".repeat(500)
}

fn decode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => MultiGzDecoder::new(bytes).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        "zstd" => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut out),
        other => panic!("{other}"),
    }
    .unwrap();
    out
}

fn value<'a>(response: &'a Response<Incoming>, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("-", |value| value.to_str().unwrap())
}

async fn fetch(service: &Service, accept: &str) -> Response<Incoming> {
    let request = Request::get("https://www.example.org/").header("accept-encoding", accept);
    service.fetch2(request.body(empty()).unwrap()).await
}

#[tokio::test]
async fn a_client_gets_the_coding_that_it_prefers() {
    let origin = Origin::answering(page("content-type: text/html; charset=utf-8\r\n")).await;
    let service = compressing(&origin).await;
    for (accept, coding) in [
        ("gzip", "gzip"),
        ("gzip, br", "br"),
        ("gzip, br, zstd", "zstd"),
        ("zstd;q=0.1, gzip", "gzip"),
    ] {
        let response = fetch(&service, accept).await;
        assert_eq!(value(&response, "content-encoding"), coding);
        assert_eq!(value(&response, "content-length"), "-");
        assert_eq!(value(&response, "vary"), "accept-encoding");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes.len() < text().len() / 10, "{coding}: {}", bytes.len());
        assert_eq!(decode(coding, &bytes), text().as_bytes());
    }
}

#[tokio::test]
async fn an_uncompressed_response_still_varies_by_accept_encoding() {
    let origin = Origin::answering(page("content-type: text/css\r\netag: \"a\"\r\n")).await;
    let service = compressing(&origin).await;
    let response = fetch(&service, "identity").await;
    assert_eq!(value(&response, "vary"), "accept-encoding");
    assert_eq!(value(&response, "etag"), "\"a\"");
    assert_eq!(value(&response, "content-encoding"), "-");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, text());
}

#[tokio::test]
async fn responses_that_must_not_change_are_not_compressed() {
    for fields in [
        "content-type: text/html\r\ncontent-encoding: br\r\n",
        "content-type: text/event-stream\r\n",
        "content-type: text/html\r\ncache-control: public, No-Transform\r\n",
        "content-type: text/html\r\ncontent-range: bytes 0-99/200\r\n",
        "content-type: text/html\r\ncontent-digest: sha-256=:AA==:\r\n",
        "content-type: image/png\r\n",
        "content-type: text/html\r\ncontent-type: image/png\r\n",
        "",
    ] {
        let origin = Origin::answering(page(fields)).await;
        let service = compressing(&origin).await;
        let response = fetch(&service, "gzip, br, zstd").await;
        let coding = value(&response, "content-encoding");
        assert!(
            coding == "-" || fields.contains("content-encoding"),
            "{fields}"
        );
        assert_eq!(value(&response, "vary"), "-", "{fields}");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes, text(), "{fields}");
    }
}

#[tokio::test]
async fn small_bodies_and_responses_to_http_1_0_are_not_compressed() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello",
    )
    .await;
    let response = fetch(&compressing(&origin).await, "gzip").await;
    assert_eq!(value(&response, "content-encoding"), "-");

    let origin = Origin::answering(page("content-type: text/html\r\n")).await;
    let service = compressing(&origin).await;
    let request = "GET / HTTP/1.0\r\nHost: www.example.org\r\nAccept-Encoding: gzip\r\n\r\n";
    let answer = ask(service.h1, request).await;
    assert_eq!(header(&answer, "content-encoding"), None);
    assert!(answer.ends_with(&text()), "{answer}");
}

#[tokio::test]
async fn a_head_request_gets_the_same_head_with_a_weak_etag() {
    let fields =
        "content-type: text/html\r\netag: \"a\"\r\nvary: Origin\r\naccept-ranges: bytes\r\n";
    let origin = Origin::start(move |mut connection| async move {
        while let Some(head) = connection.read_request().await {
            let whole = page(fields);
            let end = whole.find("\r\n\r\n").unwrap() + 4;
            match head.starts_with("HEAD ") {
                true => connection.raw.send(&whole[..end]).await,
                false => connection.raw.send(&whole).await,
            }
        }
    })
    .await;
    let service = compressing(&origin).await;
    for method in ["HEAD", "GET"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: www.example.org\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        );
        let answer = ask(service.h1, request).await;
        assert_eq!(
            header(&answer, "content-encoding"),
            Some("gzip"),
            "{answer}"
        );
        assert_eq!(header(&answer, "content-length"), None);
        assert_eq!(header(&answer, "accept-ranges"), None);
        assert_eq!(header(&answer, "etag"), Some("W/\"a\""));
        assert_eq!(answer.matches("vary: ").count(), 2, "{answer}");
        assert_eq!(
            answer.ends_with("\r\n\r\n") && method == "HEAD",
            method == "HEAD"
        );
    }
}

#[tokio::test]
async fn compressed_parts_are_flushed_when_the_app_pauses_and_trailers_follow() {
    for coding in Coding::ALL {
        let origin = Origin::start(|mut connection| async move {
            connection.read_request().await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
            connection.raw.send(head).await;
            connection.raw.send("5\r\nfirst\r\n").await;
            // Continues once the client has received it.
            connection.raw.read_until("never").await;
        })
        .await;
        let service = compressing(&origin).await;
        let mut response = fetch(&service, coding.name()).await;
        let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
        let mut first = [0; 5];
        let bytes = frame.into_data().unwrap();
        let read = match coding {
            Coding::Gzip => MultiGzDecoder::new(&*bytes).read_exact(&mut first),
            Coding::Brotli => brotli::Decompressor::new(&*bytes, 16).read_exact(&mut first),
            Coding::Zstd => zstd::Decoder::new(&*bytes).unwrap().read_exact(&mut first),
        };
        read.unwrap();
        assert_eq!(&first, b"first", "{coding}");
    }
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    let origin = Origin::answering(chunked).await;
    let response = fetch(&compressing(&origin).await, "br").await;
    let whole = response.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["x-sum"], "1");
    assert_eq!(decode("br", &whole.to_bytes()), b"hello");
}

#[tokio::test]
async fn a_truncated_body_does_not_look_complete() {
    let origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5000\r\n\r\n";
        connection.raw.send(head).await;
        connection
            .raw
            .send(text().as_bytes()[..2000].to_vec())
            .await;
    })
    .await;
    let service = compressing(&origin).await;
    let request = Request::get("https://www.example.org/").header("accept-encoding", "gzip");
    let request = request.body(empty()).unwrap();
    // The reset may overtake the head, over both protocols.
    if let Ok(response) = soon(service.client2().await.send_request(request)).await {
        response.into_body().collect().await.unwrap_err();
    }
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("GET / HTTP/1.1\r\nHost: www.example.org\r\nAccept-Encoding: gzip\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
}

/// An app with the strong tag `"v1"`, which compares tags as RFC 9110 says. Its 200 is compressible.
async fn tagging() -> Origin {
    Origin::start(|mut connection| async move {
        while let Some(head) = connection.read_request().await {
            let tags = |name| -> Vec<_> {
                let list = header(&head, name).unwrap_or_default().split(',');
                list.map(|tag| tag.trim().to_owned()).collect()
            };
            let is = |tag: &String| tag == "\"v1\"";
            let is_known = tags("if-none-match")
                .iter()
                .any(|tag| tag.trim_start_matches("W/") == "\"v1\"");
            let is_lost = header(&head, "if-match").is_some() && !tags("if-match").iter().any(is);
            let answer = if is_lost {
                "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n".to_owned()
            } else if is_known {
                "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\n\r\n".to_owned()
            } else {
                page("content-type: text/html\r\netag: \"v1\"\r\n")
            };
            connection.raw.send(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_tag_that_compression_made_weak_still_matches_at_the_app() {
    // Given a client with a compressed page.
    let origin = tagging().await;
    let service = compressing(&origin).await;
    let tag = value(&fetch(&service, "gzip").await, "etag").to_owned();
    assert_eq!(tag, "W/\"v1\"");

    // When it asks whether the page has changed, the 304 is for the page that it has.
    let request = || {
        let request = Request::builder().uri("https://www.example.org/");
        request.header("accept-encoding", "gzip")
    };
    let asking = request().header("if-none-match", &tag);
    let response = service.fetch2(asking.body(empty()).unwrap()).await;
    assert_eq!(response.status(), 304);
    assert_eq!(value(&response, "etag"), tag);
    assert_eq!(value(&response, "vary"), "accept-encoding");

    // And when it writes the page with that tag, the app finds it up to date; with another one it does not.
    for (tag, status) in [(tag.as_str(), 200), ("W/\"v0\"", 412), ("\"v0\"", 412)] {
        let writing = request().method("PUT").header("if-match", tag);
        let response = service.fetch2(writing.body(empty()).unwrap()).await;
        assert_eq!(response.status(), status, "{tag}");
    }
}

#[tokio::test]
async fn without_compression_tags_reach_the_app_unchanged() {
    let mut origin = Origin::ok().await;
    let service = crate::harness::service::serve(&[origin.address]).await;
    let request = Request::get("https://www.example.org/").header("if-none-match", "W/\"v1\"");
    service.fetch2(request.body(empty()).unwrap()).await;
    let seen = origin.event().await;
    assert_eq!(header(&seen, "if-none-match"), Some("W/\"v1\""));
}

#[tokio::test]
async fn no_other_spelling_of_a_field_with_tags_reaches_an_app_behind_compression() {
    let mut origin = Origin::ok().await;
    let service = compressing(&origin).await;
    for tags in ["If-None-Match: W/\"v1\"\r\n", "If-Match: \"v1\"\r\n", ""] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: www.example.org\r\n{tags}If_None_Match: \"forged\"\r\n\
             if.match: \"forged\"\r\nIf_Range: kept\r\nConnection: close\r\n\r\n"
        );
        ask(service.h1, request).await;
        let seen = origin.event().await;
        assert!(!seen.contains("forged"), "{seen}");
        assert_eq!(header(&seen, "if_range"), Some("kept"));
    }
}
