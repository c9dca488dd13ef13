//! HTTP/2 requests with ambiguous framing or target: each is refused, or reaches the backend with one meaning only.

use bytes::Bytes;
use h2::Reason;
use http::{Method, Request};
use tokio::net::TcpStream;

use super::fixtures::{ask2_raw, setup};
use crate::harness::backends::origin::Origin;
use crate::harness::clients::http2_frames::{HEADERS, Http2Frames, RST_STREAM};
use crate::harness::clients::raw::header;
use crate::harness::deadline::soon;
use crate::harness::service::{Service, serve};

async fn h2_client(service: &Service) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(service.h2).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    service.tasks.spawn(connection);
    client
}

/// Sends an HTTP/2 request with these fields and this body; returns its status or the reason of its reset.
async fn ask2(
    service: &Service,
    fields: &[(&str, &str)],
    body: &'static str,
) -> Result<u16, Option<Reason>> {
    let mut client = soon(h2_client(service).await.ready()).await.unwrap();
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("https://www.example.org/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let (response, mut stream) = client.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream
            .send_data(Bytes::from_static(body.as_bytes()), true)
            .unwrap();
    }
    match soon(response).await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(error.reason()),
    }
}

#[tokio::test]
async fn http2_content_lengths_must_be_numbers_that_match_the_data() {
    for (length, body) in [
        ("3", ""),
        ("3", "abcd"),
        ("3", "ab"),
        ("+3", "abc"),
        ("3, 3", "abc"),
        ("", "abc"),
        ("18446744073709551619", "abc"),
    ] {
        let (mut origin, service) = setup().await;
        let outcome = ask2(&service, &[("content-length", length)], body).await;
        assert!(
            !matches!(outcome, Ok(200)),
            "{length:?} {body:?}: {outcome:?}"
        );
        drop(service);
        while let Ok(event) = tokio::time::timeout(std::time::Duration::ZERO, origin.event()).await
        {
            assert_eq!(event, "broken", "{length:?} {body:?}");
        }
    }
    let (mut origin, service) = setup().await;
    assert_eq!(
        ask2(&service, &[("content-length", "3")], "abc").await,
        Ok(200)
    );
    assert!(
        origin
            .event()
            .await
            .ends_with("content-length: 3\r\n\r\nabc")
    );
}

#[tokio::test]
async fn malformed_http2_requests_are_reset_and_never_forwarded() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    let base: [(&[u8], &[u8]); 4] = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"www.example.org"),
        (b":path", b"/"),
    ];
    let (_origin, service) = setup().await;
    assert_eq!(ask2_raw(&service, &base, true).await, HEADERS);
    // The library ends the connection for names and values that no field may have, and resets the stream otherwise.
    let fields: [(&[u8], &[u8], u8); 10] = [
        (b"transfer-encoding", b"chunked", RST_STREAM),
        (b"connection", b"close", RST_STREAM),
        (b"upgrade", b"websocket", RST_STREAM),
        (b"keep-alive", b"timeout=5", RST_STREAM),
        (b"te", b"gzip", RST_STREAM),
        (b"content-length", b"3", RST_STREAM),
        (b"x", b"a\r\nb: c", GOAWAY),
        (b"x", b"a\0b", GOAWAY),
        (b"x\r\ny", b"a", GOAWAY),
        (b"Upper", b"a", GOAWAY),
    ];
    for (name, value, expected) in fields {
        let (mut origin, service) = setup().await;
        let mut all = base.to_vec();
        all.push((name, value));
        let frame = ask2_raw(&service, &all, true).await;
        assert_eq!(frame, expected, "{:?}", String::from_utf8_lossy(name));
        assert!(origin.is_quiet(), "{:?}", String::from_utf8_lossy(name));
    }
}

#[tokio::test]
async fn malformed_http2_trailers_cut_their_request_and_leave_the_connection() {
    let trailers: [&[(&[u8], &[u8])]; 4] = [
        &[(b"x-sum", b"1"), (b":path", b"/other")],
        &[(b"connection", b"close")],
        &[(b"transfer-encoding", b"chunked")],
        &[(b"te", b"gzip")],
    ];
    for trailers in trailers {
        let mut origin = Origin::start(|mut connection| async move {
            if connection
                .raw
                .read_until("\r\n\r\n")
                .await
                .unwrap()
                .starts_with("GET")
            {
                connection.raw.send("HTTP/1.1 204 No Content\r\n\r\n").await;
                return;
            }
            connection.raw.read_until("abc").await.unwrap();
            connection.tell("begun");
            let rest = connection.raw.read_to_end().await;
            connection.tell(rest);
        })
        .await;
        let service = serve(&[origin.address]).await;
        let stream = TcpStream::connect(service.h2).await.unwrap();
        let mut client = Http2Frames::start(stream, &[]).await;
        let head: [(&[u8], &[u8]); 4] = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"www.example.org"),
            (b":path", b"/"),
        ];
        client.headers(1, &head, false).await;
        client.data(1, b"abc", false).await;
        assert_eq!(origin.event().await, "begun");

        client.headers(1, trailers, true).await;

        let reset = client.next().await.unwrap();
        assert_eq!((reset.kind, reset.stream), (RST_STREAM, 1), "{trailers:?}");
        let rest = origin.event().await;
        assert_eq!(rest.trim(), "", "the upload is cut: {trailers:?}");
        client.get(3, "www.example.org", "/").await;
        let answer = client.next().await.unwrap();
        assert_eq!((answer.kind, answer.stream), (HEADERS, 3), "{trailers:?}");
    }
}

#[tokio::test]
async fn http2_pseudo_header_fields_obey_the_rules_of_http1() {
    let fields: [(usize, &[u8]); 9] = [
        (2, b"www.example.org,evil.example"),
        (2, b"u@www.example.org"),
        (2, b"www.example.org\r\nx: y"),
        (2, b""),
        (3, b"x"),
        (3, b"*"),
        (3, b"/a b"),
        (3, b"/a\r\nx: y"),
        (3, b""),
    ];
    for (index, value) in fields {
        let (mut origin, service) = setup().await;
        let mut all: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"www.example.org"),
            (b":path", b"/"),
        ];
        all[index].1 = value;
        ask2_raw(&service, &all, true).await;
        assert!(origin.is_quiet(), "{value:?}");
    }
}

#[tokio::test]
async fn the_hosts_of_an_http2_request_must_agree() {
    let (mut origin, service) = setup().await;
    assert_eq!(
        ask2(&service, &[("host", "evil.example")], "").await,
        Ok(400)
    );
    assert!(origin.is_quiet());
    assert_eq!(
        ask2(&service, &[("host", "www.example.org")], "").await,
        Ok(200)
    );
}

#[tokio::test]
async fn split_cookies_count_as_one_field() {
    let crumbs: Vec<_> = (0..150)
        .map(|number| format!("c{number}={number}"))
        .collect();
    let fields: Vec<_> = crumbs
        .iter()
        .map(|crumb| ("cookie", crumb.as_str()))
        .collect();
    let (mut origin, service) = setup().await;
    assert_eq!(ask2(&service, &fields, "").await, Ok(200));
    let seen = origin.event().await;
    assert_eq!(header(&seen, "cookie"), Some(crumbs.join("; ").as_str()));

    let others: Vec<_> = crumbs.iter().map(|crumb| ("x", crumb.as_str())).collect();
    assert_eq!(ask2(&service, &others, "").await, Ok(431));
    assert!(origin.is_quiet());
}
