//! WebSocket over HTTP/1.1. Switches to other protocols are refused.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::Request;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::echo;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::service::{ServiceSetup, serve};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: www.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_websocket_echoes_through_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = serve(&[listener.local_addr().unwrap()]).await;
    service.tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        echo(tokio_tungstenite::accept_async(stream).await.unwrap()).await;
    });
    let stream = TcpStream::connect(service.h1).await.unwrap();
    let request = "ws://www.example.org/chat".into_client_request().unwrap();
    let (mut socket, _) = soon(tokio_tungstenite::client_async(request, stream))
        .await
        .unwrap();
    for message in [Message::text("hello"), Message::binary(vec![7; 300_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon(socket.next()).await {}
}

#[tokio::test]
async fn the_upgrade_is_forwarded_with_its_fields_and_the_tunnel_ends_with_either_side() {
    let mut origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.send(SWITCHED).await;
        connection.raw.send("early").await;
        let rest = connection.raw.read_to_end().await;
        connection.tell(rest);
    })
    .await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    client.send(UPGRADE).await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    assert_eq!(client.read_exact(5).await, b"early");
    let seen = origin.event().await;
    assert_eq!(header(&seen, "upgrade"), Some("websocket"));
    assert_eq!(header(&seen, "connection"), Some("upgrade"));
    assert_eq!(header(&seen, "sec-websocket-version"), Some("13"));
    service.in_flight(1).await;
    client.send("late").await;
    drop(client);
    assert_eq!(origin.event().await, "late");
    service.in_flight(0).await;
}

#[tokio::test]
async fn a_tunnel_outlives_the_timeouts_of_requests() {
    let origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.send(SWITCHED).await;
        let line = connection.raw.read_until("ping").await.unwrap();
        connection.raw.send(line).await;
    })
    .await;
    let mut setup = ServiceSetup::new().body_timeout(Duration::from_millis(20));
    setup.upstream.response_timeout = Some(Duration::from_millis(500));
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    let mut client = RawStream::connect(service.h1).await;
    client.send(UPGRADE).await;
    client.read_head().await.unwrap();
    // Both timeouts pass while no byte moves.
    tokio::time::timeout(Duration::from_millis(700), client.read_until("never"))
        .await
        .unwrap_err();
    client.send("ping").await;
    assert_eq!(client.read_exact(4).await, b"ping");
}

#[tokio::test]
async fn a_backend_may_decline() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let mut client = RawStream::connect(service.h1).await;
    for _ in 0..2 {
        client.send(UPGRADE).await;
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(client.read_exact(2).await, b"ok");
        origin.event().await;
    }
}

#[tokio::test]
async fn nothing_is_tunnelled_before_the_backend_has_switched() {
    let mut origin = Origin::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let service = serve(&[origin.address]).await;
    let request =
        format!("{UPGRADE}GET /behind HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    let answer = ask(service.h1, request).await;
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("HTTP/1.1 421 "),
        "{answer}"
    );
    assert!(origin.event().await.starts_with("GET /chat "));
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn an_unrequested_101_is_a_bad_gateway() {
    for (upgrade, answer) in [
        ("", SWITCHED),
        (
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            SWITCHED,
        ),
        (
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n",
        ),
    ] {
        let mut origin = Origin::answering_once(answer).await;
        let service = serve(&[origin.address]).await;
        let mut client = RawStream::connect(service.h1).await;
        client
            .send(format!(
                "GET / HTTP/1.1\r\nHost: www.example.org\r\n{upgrade}\r\n"
            ))
            .await;
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 502 "), "{upgrade:?}: {head}");
        let seen = origin.event().await;
        assert!(
            !seen.contains("h2c") && !seen.contains("http2-settings"),
            "{seen}"
        );
        assert_eq!(origin.event().await, "closed");
    }
}

#[tokio::test]
async fn http2_requests_cannot_upgrade() {
    let origin = Origin::answering(SWITCHED).await;
    let service = serve(&[origin.address]).await;
    let request = Request::get("https://www.example.org/")
        .body(crate::harness::service::empty())
        .unwrap();
    assert_eq!(service.fetch2(request).await.status(), 502);
}
