//! WebSocket over HTTP/2: an extended CONNECT becomes a handshake with the backend, and its stream the tunnel.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use proxy::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::backends::web_app::echo;
use crate::harness::clients::raw::header;
use crate::harness::clients::web_socket::{connect, http2_client, joined};
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;
use crate::harness::service::{Service, serve};

const URL: &str = "https://www.example.org/chat?a=b";

async fn h2_client(service: &Service) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(service.h2).await.unwrap();
    http2_client(stream, &service.tasks).await
}

async fn open(
    sender: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    let (response, stream): (ResponseFuture, _) = sender.send_request(request, false).unwrap();
    (soon(response).await.unwrap(), stream)
}

async fn echoes(response: Response<RecvStream>, send: SendStream<Bytes>, tasks: &Tasks) {
    let stream = joined(response.into_body(), send, tasks);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    for message in [Message::text("hello"), Message::binary(vec![7; 200_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon(socket.next()).await {}
}

#[tokio::test]
async fn a_websocket_echoes_in_a_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = serve(&[listener.local_addr().unwrap()]).await;
    service.tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        echo(tokio_tungstenite::accept_async(stream).await.unwrap()).await;
    });
    let mut sender = h2_client(&service).await;
    let (response, send) = open(&mut sender, connect(URL, "websocket")).await;
    assert_eq!(response.status(), 200);
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    service.in_flight(1).await;
    echoes(response, send, &service.tasks).await;
    service.in_flight(0).await;
}

/// A backend that answers each handshake with the result of `answer` for its key.
async fn answering(answer: fn(&str) -> String) -> Origin {
    Origin::start(move |mut connection| async move {
        while let Some(head) = connection.read_request().await {
            let key = header(&head, "sec-websocket-key").unwrap_or_default();
            connection.raw.send(answer(key)).await;
        }
    })
    .await
}

fn accept(key: &str) -> String {
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\nsec-websocket-protocol: chat\r\n\r\n"
    )
}

#[tokio::test]
async fn the_backend_gets_a_handshake_with_a_fresh_key() {
    let mut origin = answering(accept).await;
    let service = serve(&[origin.address]).await;
    let mut sender = h2_client(&service).await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (response, _send) = open(&mut sender, connect(URL, "websocket")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
        let seen = origin.event().await;
        assert!(seen.starts_with("GET /chat?a=b HTTP/1.1\r\n"), "{seen}");
        assert_eq!(header(&seen, "connection"), Some("upgrade"));
        assert_eq!(header(&seen, "upgrade"), Some("websocket"));
        assert_eq!(header(&seen, "host"), Some("www.example.org"));
        assert_eq!(header(&seen, "sec-websocket-version"), Some("13"));
        assert_eq!(header(&seen, "sec-websocket-protocol"), Some("chat"));
        assert_eq!(seen.matches("sec-websocket-key").count(), 1, "{seen}");
        keys.push(header(&seen, "sec-websocket-key").unwrap().to_owned());
    }
    assert!(keys[0] != keys[1] && keys.iter().all(|key| key.len() == 24));
}

#[tokio::test]
async fn only_a_valid_101_opens_a_tunnel() {
    for (answer, status) in [
        (
            (|_| "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno".to_owned())
                as fn(&str) -> String,
            403,
        ),
        (
            |_| "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(),
            502,
        ),
        (|_| "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), 502),
        (|_| accept("another key"), 502),
        (|key| accept(key).replace("websocket\r\n", "h2c\r\n"), 502),
        (|key| accept(key).replace("-accept:", "-other:"), 502),
    ] {
        let origin = answering(answer).await;
        let service = serve(&[origin.address]).await;
        let mut sender = h2_client(&service).await;
        let (response, _send) = open(&mut sender, connect(URL, "websocket")).await;
        assert_eq!(response.status(), status, "{}", answer("key"));
        let mut body = response.into_body();
        let data = soon(body.data()).await.unwrap().unwrap();
        assert!(status == 502 || data == "no");
    }
}

#[tokio::test]
async fn no_other_protocol_and_no_plain_connect_is_served() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let mut sender = h2_client(&service).await;
    let (response, _send) = open(&mut sender, connect(URL, "connect-udp")).await;
    assert_eq!(response.status(), 405);
    let plain = Request::builder()
        .method(Method::CONNECT)
        .uri("www.example.org:443")
        .body(())
        .unwrap();
    let (response, _send) = open(&mut sender, plain).await;
    assert_eq!(response.status(), 405);
    let (response, _send) = open(&mut sender, connect("https://other.example/", "websocket")).await;
    assert_eq!(response.status(), 421);
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn the_last_bytes_of_a_backend_arrive_although_it_resets_its_connection() {
    let origin = Origin::start(|mut connection| async move {
        let head = connection.read_request().await.unwrap();
        let key = header(&head, "sec-websocket-key").unwrap();
        connection.raw.send(accept(key)).await;
        connection.raw.read_exact(1).await;
        connection.raw.send("bye").await;
        connection.raw.reset();
    })
    .await;
    let service = serve(&[origin.address]).await;
    let mut sender = h2_client(&service).await;
    let (mut response, mut send) = open(&mut sender, connect(URL, "websocket")).await;
    send.send_data(Bytes::from("x"), false).unwrap();
    let said = soon(response.body_mut().data()).await.unwrap().unwrap();
    assert_eq!(said, "bye");
    service.in_flight(0).await;
}

#[tokio::test]
async fn a_reset_ends_the_tunnel_of_a_backend_that_does_not_read() {
    let mut origin = Origin::start(|mut connection| async move {
        let head = connection.read_request().await.unwrap();
        let key = header(&head, "sec-websocket-key").unwrap();
        connection.raw.send(accept(key)).await;
        std::future::pending().await
    })
    .await;
    let service = serve(&[origin.address]).await;
    let mut sender = h2_client(&service).await;
    let (_response, mut send) = open(&mut sender, connect(URL, "websocket")).await;
    origin.event().await;
    service.in_flight(1).await;
    send.send_reset(h2::Reason::CANCEL);
    service.in_flight(0).await;
}

#[tokio::test]
async fn more_than_a_flow_control_window_passes_through_a_tunnel_both_ways() {
    const SIZE: usize = 3 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = serve(&[listener.local_addr().unwrap()]).await;
    service.tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            socket.send(message).await.unwrap();
        }
    });
    let mut sender = h2_client(&service).await;
    let (response, send) = open(&mut sender, connect(URL, "websocket")).await;
    let stream = joined(response.into_body(), send, &service.tasks);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    let message = Message::binary(vec![b'x'; SIZE]);
    soon(socket.send(message.clone())).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), message);
}

#[tokio::test]
async fn the_tunnel_ends_with_either_side() {
    for is_reset in [false, true] {
        let mut origin = Origin::start(|mut connection| async move {
            let head = connection.read_request().await.unwrap();
            let key = header(&head, "sec-websocket-key").unwrap();
            connection.raw.send(accept(key)).await;
            let rest = connection.raw.read_to_end().await;
            connection.tell(rest);
        })
        .await;
        let service = serve(&[origin.address]).await;
        let mut sender = h2_client(&service).await;
        let (_response, mut send) = open(&mut sender, connect(URL, "websocket")).await;
        origin.event().await;
        send.send_data(Bytes::from("late"), false).unwrap();
        service.in_flight(1).await;
        match is_reset {
            true => send.send_reset(h2::Reason::CANCEL),
            false => send.send_data(Bytes::new(), true).unwrap(),
        }
        let rest = origin.event().await;
        assert!(is_reset || rest == "late", "{rest}");
        service.in_flight(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_kept_while_a_tunnel_runs_in_it() {
    let app = App::start().await;
    let setup = ProxySetup::new();
    let proxyfile = format!(
        "[limits]\nidle-timeout = \"300ms\"\n[sites]\n\"localhost\" = \"{}\"\n",
        app.address
    );
    let proxy = setup.proxyfile(&proxyfile).start().await;
    let tasks = Tasks::new();
    let stream = proxy.client().alpn("h2");
    let stream = stream.connect(proxy.https(), "localhost").await.unwrap();
    let mut sender = http2_client(stream, &tasks).await;
    let request = connect("https://localhost/echo", "websocket");
    let (mut response, send) = open(&mut sender, request).await;
    assert_eq!(response.status(), 200);
    // The idle timeout and the grace period after it pass while no byte moves.
    let silence = Duration::from_millis(6500);
    tokio::time::timeout(silence, response.body_mut().data())
        .await
        .unwrap_err();
    echoes(response, send, &tasks).await;
}
