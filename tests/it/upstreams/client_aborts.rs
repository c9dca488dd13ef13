//! Clients that break off their uploads or leave before the response.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::Request;
use tokio::net::TcpStream;

use super::fixtures::{CUT, URL2, get};
use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::RawStream;
use crate::harness::deadline::soon;
use crate::harness::service::{ServiceSetup, empty, serve};

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
        let mut origin = Origin::answering_once(answer).await;
        // A client that leaves looks like one that only closes its sending side, as long as nothing is sent to it.
        let service = ServiceSetup::new()
            .body_timeout(Duration::from_secs(1))
            .site("www.example.org", &[origin.address])
            .start()
            .await;
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
async fn a_client_that_closes_its_sending_side_gets_the_answer() {
    for request in [
        get().to_owned(),
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned(),
    ] {
        let (mut origin, responses) = Origin::driven().await;
        let service = serve(&[origin.address]).await;
        let mut client = RawStream::connect(service.h1).await;
        client.send(&request).await;
        client.finish().await;
        origin.event().await;
        // The interim response shows that the proxy has gone on after the end of what its client sends.
        responses.send("HTTP/1.1 103 Early Hints\r\n\r\n").unwrap();
        responses
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .unwrap();
        let answer = client.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{request:?}: {answer}");
        assert!(answer.ends_with("\r\n\r\nok"), "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_gets_an_answer_that_takes_long() {
    // Given an app that thinks for six seconds, and sends a byte a second then.
    let origin = Origin::start(|mut connection| async move {
        connection.raw.read_head().await.unwrap();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        for _ in 0..7 {
            second.tick().await;
        }
        connection
            .raw
            .send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
            .await;
        for _ in 0..3 {
            second.tick().await;
            connection.raw.send("x").await;
        }
        connection.raw.read_to_end().await;
    })
    .await;
    let service = serve(&[origin.address]).await;

    // When a client closes its sending side after the request.
    let mut client = RawStream::connect(service.h1).await;
    client.send(get()).await;
    client.finish().await;

    // Then it gets the answer, and the connection ends with that.
    let answer = client.read_to_end().await;
    assert!(answer.ends_with("\r\n\r\nxxx"), "{answer}");
}

#[tokio::test]
async fn a_request_counts_until_its_upload_has_ended() {
    // Given a backend that answers before the upload ends.
    let mut origin = Origin::start(async |mut connection| {
        connection.raw.read_head().await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        connection.raw.send(answer).await;
        let body = connection.raw.read_exact(10).await;
        connection.tell(String::from_utf8(body).unwrap());
    })
    .await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("POST / HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    // When the client has the whole answer, then the backend still counts the request.
    let head = client.read_head().await.unwrap();
    assert_eq!(client.read_body(&head).await.unwrap(), "ok");
    assert_eq!(service.upstreams[0].backends()[0].in_flight(), 1);
    // And it does not when the upload is over.
    client.send("defghij").await;
    assert_eq!(origin.event().await, "abcdefghij");
    service.in_flight(0).await;
}
