//! Upgrades to other protocols than WebSocket, with any method and with a body before them: the control protocol of
//! Tailscale, `docker exec`, SPDY, DERP.

use http::Method;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::service::serve;

/// A request for an upgrade. The rest, fields and body, follows the fields of the upgrade.
fn request(method: &str, protocols: &str, rest: &str) -> String {
    format!(
        "{method} /up HTTP/1.1\r\nHost: www.example.org\r\nConnection: upgrade\r\nUpgrade: {protocols}\r\n{rest}"
    )
}

/// Starts a backend that reads the whole request, switches to the first protocol that it offers, and echoes.
async fn echoing() -> Origin {
    Origin::start(|mut connection| async move {
        let Some(head) = connection.read_request().await else {
            return;
        };
        let protocols = header(&head, "upgrade").unwrap_or("none");
        let protocol = protocols.split(',').next().unwrap();
        let switched = format!(
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
             Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        // Whatever the client sent early waits for the switch.
        assert_eq!(connection.raw.read_early(), "");
        connection.raw.send(switched).await;
        while let Some(line) = connection.raw.read_until("\n").await {
            connection.raw.send(line).await;
        }
    })
    .await
}

#[tokio::test]
async fn any_method_and_body_may_precede_a_tunnel_of_any_protocol() {
    for (method, protocols, rest, protocol) in [
        (
            "POST",
            "tailscale-control-protocol",
            "Content-Length: 0\r\n\r\n",
            "tailscale-control-protocol",
        ),
        (
            "POST",
            "tcp",
            "Content-Length: 16\r\n\r\n{\"Detach\":false}",
            "tcp",
        ),
        (
            "POST",
            "tcp",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            "tcp",
        ),
        ("POST", "SPDY/3.1", "\r\n", "SPDY/3.1"),
        ("GET", "DERP, WebSocket", "\r\n", "DERP"),
        ("PUT", "x", "Content-Length: 4\r\n\r\nbody", "x"),
    ] {
        // Given a backend that speaks the protocol.
        let mut origin = echoing().await;
        let service = serve(&[origin.address]).await;
        let mut client = RawStream::connect(service.h1).await;

        // When a client asks for it, and sends its first line at once.
        let request = request(method, protocols, rest);
        client.send(format!("{request}first\n")).await;

        // Then the backend gets the request alone, and the line after it has switched.
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{request}: {head}");
        assert_eq!(header(&head, "upgrade"), Some(protocol));
        assert_eq!(header(&head, "connection"), Some("upgrade"));
        let seen = origin.event().await;
        assert_eq!(header(&seen, "upgrade"), Some(protocols));
        assert_eq!(client.read_exact(6).await, b"first\n");
        client.send("second\n").await;
        assert_eq!(client.read_exact(7).await, b"second\n");
    }
}

#[tokio::test]
async fn without_a_101_bytes_after_the_body_are_the_next_request() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let first = request("POST", "tcp", "Content-Length: 4\r\n\r\nbody");
    let next = "GET /next HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let answer = ask(service.h1, format!("{first}{next}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("HTTP/1.1 421 "), "{answer}");
    let seen = origin.event().await;
    assert!(
        seen.starts_with("POST /up ") && seen.ends_with("body"),
        "{seen}"
    );
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn a_switch_before_the_end_of_the_body_is_a_bad_gateway() {
    for rest in [
        "Content-Length: 8\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut origin = Origin::start(|mut connection| async move {
            connection.raw.read_until("half").await.unwrap();
            let switched =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n";
            connection.raw.send(switched).await;
            let after = connection.raw.read_to_end().await;
            connection.tell(after);
        })
        .await;
        let service = serve(&[origin.address]).await;
        let mut client = RawStream::connect(service.h1).await;
        client.send(request("POST", "tcp", rest)).await;
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 502 "), "{rest:?}: {head}");
        client.send("rest").await;
        let after = origin.event().await;
        assert!(!after.contains("rest"), "{after}");
        service.in_flight(0).await;
    }
}

#[tokio::test]
async fn protocols_that_carry_requests_are_not_offered_to_the_backend() {
    for protocols in ["h2c", "HTTP/2.0", "TLS/1.2", "websocket, h2c"] {
        for method in [Method::GET, Method::POST] {
            let mut origin = Origin::ok().await;
            let service = serve(&[origin.address]).await;
            let rest = "Content-Length: 0\r\n\r\n";
            let mut client = RawStream::connect(service.h1).await;
            client.send(request(method.as_str(), protocols, rest)).await;
            let head = client.read_head().await.unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{protocols}: {head}");
            let seen = origin.event().await;
            assert_eq!(header(&seen, "upgrade"), None, "{protocols}");
        }
    }
}
