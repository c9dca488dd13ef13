//! Bodies and trailers, which stream in both directions at once.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::service::{frames, serve};

const URL2: &str = "https://www.example.org/a/../b//c?x=%2e&y";

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    const CHUNK: usize = 64 * 1024;
    let origin = Origin::start(|mut connection| async move {
        let head = connection.raw.read_head().await.unwrap();
        let len = header(&head, "content-length").unwrap().to_owned();
        connection
            .raw
            .send(format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n"))
            .await;
        for _ in 0..16 {
            let part = connection.raw.read_exact(CHUNK).await;
            connection.raw.send(part).await;
        }
    })
    .await;
    let service = serve(&[origin.address]).await;
    let payload: Vec<u8> = (0..16 * CHUNK).map(|index| (index / 7) as u8).collect();
    for is_http2 in [false, true] {
        let request = match is_http2 {
            true => Request::post(URL2),
            false => Request::post("/").header("host", "www.example.org"),
        };
        let body = BodyExt::boxed(Full::new(Bytes::from(payload.clone())));
        let request = request.body(body).unwrap();
        let response = match is_http2 {
            true => service.fetch2(request).await,
            false => service.fetch1(request).await,
        };
        let echo = soon(response.into_body().collect())
            .await
            .unwrap()
            .to_bytes();
        assert!(echo == payload, "HTTP/2: {is_http2}");
    }
}

#[tokio::test]
async fn each_part_of_a_stream_is_forwarded_at_once() {
    let origin = Origin::start(|mut connection| async move {
        connection.raw.read_head().await.unwrap();
        connection
            .raw
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            .await;
        // Continues only once the next part of the upload arrives, which the client sends after it has the first event.
        connection.raw.read_until("more").await.unwrap();
        connection.raw.send("3\r\ntwo\r\n0\r\n\r\n").await;
    })
    .await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("POST / HTTP/1.1\r\nHost: www.example.org\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.read_until("one").await.unwrap();
    client.send("4\r\nmore\r\n0\r\n\r\n").await;
    client.read_until("two\r\n0\r\n\r\n").await.unwrap();
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))])
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let mut origin = Origin::start(|mut connection| async move {
        while let Some(head) = connection.raw.read_head().await {
            let trailer = connection.raw.read_until("x-sum: 7\r\n\r\n").await.unwrap();
            connection.tell(format!("{head}{trailer}"));
            connection
                .raw
                .send(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                     2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n",
                )
                .await;
        }
    })
    .await;
    let service = serve(&[origin.address]).await;
    let body = || {
        frames(vec![
            Frame::data(Bytes::from_static(b"up")),
            Frame::trailers(trailers()),
        ])
    };
    let request = Request::post("/")
        .header("host", "www.example.org")
        .header("te", "trailers");
    let request = request.header("trailer", "x-sum").body(body()).unwrap();
    let response = service
        .fetch1(request)
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    assert_eq!(response.trailers(), Some(&trailers()));
    let seen = origin.event().await;
    assert_eq!(header(&seen, "te"), Some("trailers"));

    let request = Request::post(URL2)
        .header("trailer", "x-sum")
        .body(body())
        .unwrap();
    let response = service
        .fetch2(request)
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    assert_eq!(response.trailers(), Some(&trailers()));
    origin.event().await;
}

#[tokio::test]
async fn responses_without_a_body_keep_their_content_length() {
    for (method, answer, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n",
            Some("1234"),
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            None,
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Some("0"),
        ),
    ] {
        let origin = Origin::answering(answer).await;
        let service = serve(&[origin.address]).await;
        let request =
            format!("{method} / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n");
        let seen = ask(service.h1, request).await;
        assert_eq!(seen.lines().next(), answer.lines().next());
        assert_eq!(header(&seen, "content-length"), length, "{seen}");
        assert!(seen.ends_with("\r\n\r\n"), "{seen}");
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_is_forwarded_at_once() {
    let origin = Origin::start(|mut connection| async move {
        connection.raw.read_head().await.unwrap();
        connection
            .raw
            .send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
            .await;
    })
    .await;
    let service = serve(&[origin.address]).await;
    const LEN: usize = 10_000_000;
    let mut client = RawStream::connect(service.h1).await;
    let head = format!("POST / HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: {LEN}\r\n\r\n");
    client.send(head).await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    // A client that reads only after its upload must get the answer before the connection is reset.
    client.send(vec![b'x'; LEN]).await;
    assert_eq!(client.read_exact(3).await, b"big");
    client
        .send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        .await;
    assert!(
        client
            .read_head()
            .await
            .unwrap()
            .starts_with("HTTP/1.1 421")
    );
}
