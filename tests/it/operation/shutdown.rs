//! Shutdown: running requests finish, idle connections are closed, and a second signal stops at once.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::Request;
use proxy::tasks::Tasks;
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Fault, Script, ScriptedCa, Step};
use crate::harness::clients::http2_frames::{GOAWAY, HEADERS, Http2Frames};
use crate::harness::clients::https::Client;
use crate::harness::clients::web_socket::{connect, http2_client, joined};
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

async fn start() -> (App, Proxy, Client) {
    let app = App::start().await;
    let proxy = ProxySetup::new().local(&app).start().await;
    let client = proxy.client();
    (app, proxy, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_request_is_answered_before_the_process_ends() {
    for is_h2 in [false, true] {
        let (app, mut proxy, client) = start().await;
        let https = proxy.https();
        let client = client.clone();
        let request = Tasks::new().spawn(async move {
            match is_h2 {
                true => client.get2(https, "localhost", "/gate").await,
                false => client.get(https, "localhost", "/gate").await,
            }
        });
        app.gate_reached().await;
        proxy.signal(Signal::TERM);
        proxy.logged("draining").await;
        app.open_gate();
        let answer = soon(request).await.unwrap();
        assert_eq!(answer.body, "through the gate");
        assert!(proxy.ended().await.success());
        assert!(proxy.log().contains("stopped"), "{}", proxy.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_response_over_http_1_1_says_that_the_connection_is_closed() {
    let (app, mut proxy, client) = start().await;
    let client = client.alpn("http/1.1");
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let request = b"GET /gate HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    app.gate_reached().await;
    proxy.signal(Signal::TERM);
    proxy.logged("draining").await;
    app.open_gate();
    let mut response = String::new();
    soon(stream.read_to_string(&mut response)).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    let head = response.to_ascii_lowercase();
    assert!(head.contains("\r\nconnection: close\r\n"), "{response}");
    assert!(proxy.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_closed_with_close_notify() {
    let mut proxy = ProxySetup::new().proxyfile(LONG_DRAIN).start().await;
    let mut idle = proxy
        .client()
        .alpn("http/1.1")
        .connect(proxy.https(), "localhost")
        .await
        .unwrap();
    let asked_at = Instant::now();
    proxy.signal(Signal::INT);
    // A TLS close_notify reads as the end; a connection cut without it would be an error.
    assert_eq!(soon(idle.read(&mut [0; 16])).await.unwrap(), 0);
    assert!(proxy.ended().await.success());
    let taken = asked_at.elapsed();
    assert!(taken < Duration::from_secs(3), "at once, and not {taken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_http_2_get_goaway_and_their_pending_responses() {
    let (app, mut proxy, client) = start().await;
    let stream = client.alpn("h2").connect(proxy.https(), "localhost").await;
    let (sender, connection) = h2::client::handshake(stream.unwrap()).await.unwrap();
    let connection = Tasks::new().spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = Request::get("https://localhost/gate").body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    app.gate_reached().await;
    proxy.signal(Signal::TERM);
    soon(async {
        while sender.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    app.open_gate();
    assert_eq!(soon(response).await.unwrap().status(), 200);
    drop(sender);
    soon(connection).await.unwrap().unwrap();
    assert!(proxy.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_handshake_does_not_delay_the_drain() {
    let text = "[sites]\n\"localhost\" = \"localhost:1\"\n[limits]\nhandshake-timeout = \"1h\"\n";
    let mut proxy = ProxySetup::new().proxyfile(text).start().await;
    let root = std::fs::read_to_string(proxy.data().join("internal-ca/root.pem")).unwrap();
    let _silent = TcpStream::connect(proxy.https()).await.unwrap();
    // Clients are accepted in turn: when this one is served, the silent one has been accepted.
    let client = Client::new(&root);
    client.serial(proxy.https(), "localhost").await.unwrap();

    proxy.signal(Signal::TERM);

    assert!(soon(proxy.ended()).await.success());
    assert!(!proxy.log().contains("cut"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_waits_for_its_certificate_does_not_delay_the_drain() {
    let setup = ProxySetup::new();
    let script = Script::new().always(Step::NewOrder, Fault::Never);
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let mut proxy = setup
        .args(["--upstream", "localhost:1", "--domain", "www.example.org"])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;
    ca.reached(Step::NewOrder).await;
    let client = Client::new(&ca.issuing_root_pem());
    let https = proxy.https();
    let waiting = Tasks::new().spawn(async move { client.serial(https, "www.example.org").await });
    let other = Client::new(&ca.issuing_root_pem());
    // An unknown name is refused at once, which shows that the client before it has been accepted.
    other
        .serial(proxy.https(), "unknown.example.org")
        .await
        .unwrap_err();

    proxy.signal(Signal::TERM);

    assert!(soon(proxy.ended()).await.success());
    soon(waiting).await.unwrap().unwrap_err();
    assert!(!proxy.log().contains("cut"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() {
    let (app, mut proxy, client) = start().await;
    let https = proxy.https();
    let _request = Tasks::new().spawn(async move { client.get(https, "localhost", "/gate").await });
    app.gate_reached().await;
    proxy.signal(Signal::TERM);
    proxy.logged("draining").await;
    proxy.signal(Signal::TERM);
    assert!(proxy.ended().await.success());
    assert!(proxy.log().contains("stopped at once"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_crosses_the_first_goaway_is_answered() {
    let (_app, mut proxy, client) = start().await;
    let stream = client.alpn("h2").connect(proxy.https(), "localhost").await;
    let mut frames = Http2Frames::start(stream.unwrap(), &[]).await;
    frames.get(1, "localhost", "/").await;
    frames.next_of(HEADERS).await;
    proxy.signal(Signal::TERM);
    frames.next_of(GOAWAY).await;
    frames.get(3, "localhost", "/").await;
    assert_eq!(frames.next_of(HEADERS).await.stream, 3);
    assert!(soon(proxy.ended()).await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_clients_that_do_not_react_do_not_delay_the_drain() {
    for requests in [0, 1] {
        let mut proxy = ProxySetup::new().proxyfile(LONG_DRAIN).start().await;
        let client = proxy.client().alpn("h2");
        let idle = client.connect(proxy.https(), "localhost").await.unwrap();
        let mut idle = Http2Frames::start(idle, &[]).await;
        if requests > 0 {
            idle.get(1, "localhost", "/").await;
            idle.next_of(HEADERS).await;
        }
        // This one has not even begun with HTTP/2.
        let _silent = client.connect(proxy.https(), "localhost").await.unwrap();

        let asked_at = Instant::now();
        proxy.signal(Signal::TERM);

        // The first GOAWAY asks the client to stop. The second one comes unasked, and names the last request.
        let asked = idle.next_of(GOAWAY).await.payload;
        assert_eq!(asked[..4], [0x7f, 0xff, 0xff, 0xff]);
        let last = idle.next_of(GOAWAY).await.payload;
        assert_eq!(last[3], requests);
        assert!(soon(proxy.ended()).await.success());
        let taken = asked_at.elapsed();
        assert!(
            taken < Duration::from_secs(4),
            "a second, and not {taken:?}"
        );
        assert!(!proxy.log().contains("cut"), "{}", proxy.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_head_does_not_delay_the_drain() {
    let mut proxy = ProxySetup::new().proxyfile(LONG_DRAIN).start().await;
    let client = proxy.client().alpn("http/1.1");
    let mut slow = client.connect(proxy.https(), "localhost").await.unwrap();
    let mut plain = TcpStream::connect(proxy.http()).await.unwrap();
    half_a_head(&mut slow).await;
    half_a_head(&mut plain).await;

    proxy.signal(Signal::TERM);

    assert!(soon(proxy.ended()).await.success());
    assert!(!proxy.log().contains("cut"), "{}", proxy.log());
}

const LONG_DRAIN: &str =
    "[sites]\n\"localhost\" = { respond = { status = 204 } }\n[limits]\ndrain-timeout = \"1h\"\n";

/// Sends a request, reads its response, and begins with the next request.
async fn half_a_head(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let whole = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(whole).await.unwrap();
    assert_ne!(soon(stream.read(&mut [0; 1024])).await.unwrap(), 0);
    stream.write_all(b"GET / HT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_gets_a_close_frame_and_does_not_delay_the_end() {
    let (_app, mut proxy, client) = start().await;
    let client = client.alpn("http/1.1");
    let stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let opened = client_async("wss://localhost/echo", stream).await;
    is_closed_at_the_end(opened.unwrap().0, &mut proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_in_an_http_2_stream_gets_one_too() {
    let (_app, mut proxy, client) = start().await;
    let tasks = Tasks::new();
    let stream = client.alpn("h2").connect(proxy.https(), "localhost").await;
    let mut sender = http2_client(stream.unwrap(), &tasks).await;
    let request = connect("https://localhost/echo", "websocket");
    let (response, send) = sender.send_request(request, false).unwrap();
    let response = soon(response).await.unwrap();
    let stream = joined(response.into_body(), send, &tasks);
    drop(sender);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    is_closed_at_the_end(socket, &mut proxy).await;
}

async fn is_closed_at_the_end<S>(mut socket: WebSocketStream<S>, proxy: &mut Proxy)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = Message::text("hello");
    socket.send(hello.clone()).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), hello);
    let begin = Instant::now();

    proxy.signal(Signal::TERM);

    let told = soon(socket.next()).await.unwrap().unwrap();
    let Message::Close(Some(frame)) = told else {
        panic!("no close frame came, but {told:?}");
    };
    assert_eq!(frame.code, CloseCode::Away);
    // Reading on sends the answer.
    assert!(soon(socket.next()).await.is_none());
    assert!(proxy.ended().await.success());
    // The drain time is 30 s.
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    assert!(!proxy.log().contains("cut"), "{}", proxy.log());
}
