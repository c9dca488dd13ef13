//! What one client can make the proxy hold: memory, connections to backends, and work at the app. Others are served meanwhile.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use h2::Reason;
use http::Request;
use proxy::tasks::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::harness::backends::web_app::App;
use crate::harness::clients::http2_frames::{HEADERS, Http2Frames, RST_STREAM};
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

/// Setting of the window of each stream.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// Share of one client in `stream-memory = "16m"`.
pub(super) const SHARE: u64 = 4 << 20;
/// Bytes of a connection besides: its own part of the streams' memory, TLS and buffers, unoptimized.
pub(super) const CONNECTION: u64 = 400 << 10;

pub(super) fn setup(app: &App, rest: &str) -> ProxySetup {
    let text = format!("[sites]\n\"localhost\" = \"{}\"\n{rest}\n", app.address);
    ProxySetup::new().proxyfile(&text)
}

pub(super) async fn with_little_memory() -> (App, Proxy) {
    let app = App::start().await;
    let limits = "[limits]\nstream-memory = \"16m\"";
    let proxy = setup(&app, limits).start().await;
    // Memory that the first connections need once and for all is not counted below.
    let client = proxy.client();
    for _ in 0..4 {
        client.get2(proxy.https(), "localhost", "/").await;
        client.get(proxy.https(), "localhost", "/").await;
    }
    (app, proxy)
}

/// Connects as another client than all that connect from 127.0.0.1.
pub(super) async fn neighbour(client: &Client, proxy: SocketAddr) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = soon(socket.connect(proxy)).await.unwrap();
    let client = client.alpn("http/1.1");
    soon(client.over(stream, "localhost")).await.unwrap()
}

/// Checks that another client than the greedy one is served.
pub(super) async fn assert_neighbour_is_served(proxy: &Proxy) {
    let mut stream = neighbour(&proxy.client(), proxy.https()).await;
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_a_client_does_not_read_are_bounded_in_sum() {
    const CONNECTIONS: u64 = 8;
    const STREAMS: u32 = 250;
    let (_app, proxy) = with_little_memory().await;
    let client = proxy.client().alpn("h2");
    let before = proxy.memory();
    let (mut open, mut resets) = (Vec::new(), 0);
    for _ in 0..CONNECTIONS {
        let stream = client.connect(proxy.https(), "localhost").await.unwrap();
        let mut frames = Http2Frames::start(stream, &[(INITIAL_WINDOW_SIZE, 0)]).await;
        let mut undecided: HashSet<u32> = (0..STREAMS).map(|number| 2 * number + 1).collect();
        for number in 0..STREAMS {
            frames
                .get(2 * number + 1, "localhost", "/download?200000")
                .await;
        }
        // Each stream gets its head, or is refused.
        let pause = Duration::from_millis(500);
        loop {
            let frame = match timeout(pause, frames.next()).await {
                Ok(frame) => frame.expect("the connection lives on"),
                Err(_) if undecided.is_empty() => break,
                Err(_) => frames.next().await.expect("the connection lives on"),
            };
            match frame.kind {
                HEADERS => {}
                RST_STREAM => resets += 1,
                kind => panic!("frame of type {kind} although no window is open"),
            }
            undecided.remove(&frame.stream);
        }
        open.push(frames);
    }

    let grown = 1024 * (proxy.memory() - before);

    assert!(
        grown < 3 * SHARE + CONNECTIONS * CONNECTION,
        "{grown} bytes"
    );
    assert!(resets > 1000, "{resets}");
    assert_neighbour_is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_below_the_limit_are_bounded_in_sum() {
    const CONNECTIONS: u64 = 4;
    let (_app, proxy) = with_little_memory().await;
    let client = proxy.client().alpn("h2");
    let before = proxy.memory();
    let tasks = Tasks::new();
    let (mut refused, mut waiting) = (0, Vec::new());
    for _ in 0..CONNECTIONS {
        let stream = client.connect(proxy.https(), "localhost").await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tasks.spawn(connection);
        let mut sender = sender;
        for _ in 0..200 {
            sender = soon(sender.ready()).await.unwrap();
            let large = "y".repeat(30_000);
            let request = Request::get("https://localhost/gate").header("x", large);
            let (response, _) = sender
                .send_request(request.body(()).unwrap(), true)
                .unwrap();
            waiting.push(response);
        }
        // All heads have arrived when a later request is answered, if only by a refusal.
        let request = Request::get("https://localhost/").body(()).unwrap();
        let (last, _) = sender.send_request(request, true).unwrap();
        let _ = soon(last).await;
        waiting.retain_mut(
            |response| match futures_util::FutureExt::now_or_never(response) {
                None => true,
                Some(outcome) => {
                    assert_eq!(outcome.unwrap_err().reason(), Some(Reason::REFUSED_STREAM));
                    refused += 1;
                    false
                }
            },
        );
    }

    let grown = 1024 * (proxy.memory() - before);

    assert!(refused > 300, "{refused}");
    assert!(
        grown < 3 * SHARE + CONNECTIONS * CONNECTION,
        "{grown} bytes"
    );
    assert_neighbour_is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_leaves_backend_connections_for_others() {
    let app = App::start().await;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let for_twenty_connections = 64 + 8 * workers as u64 + 2 * 20;
    let proxy = setup(&app, "[upstreams]\nconnect-timeout = \"500ms\"")
        .open_files(for_twenty_connections)
        .start()
        .await;
    let mut greedy = proxy.client().http2(proxy.https(), "localhost").await;
    let tasks = Tasks::new();
    let mut held = Vec::new();
    for _ in 0..100 {
        let request = Request::get("https://localhost/gate").body(Default::default());
        held.push(tasks.spawn(greedy.send_request(request.unwrap())));
    }
    let mut refused = 0;
    while held.len() > 10 {
        let (answer, _, rest) = soon(futures_util::future::select_all(held)).await;
        assert_eq!(answer.unwrap().unwrap().status(), 503);
        (held, refused) = (rest, refused + 1);
    }
    assert_eq!(refused, 90, "half of the connections are held");

    assert_neighbour_is_served(&proxy).await;

    // What one request releases goes to the next one of the same client.
    for _ in 0..3 {
        app.open_gate();
        let (answer, _, rest) = soon(futures_util::future::select_all(held)).await;
        assert_eq!(answer.unwrap().unwrap().status(), 200);
        held = rest;
    }
    let request = Request::get("https://localhost/").body(Default::default());
    let answer = soon(greedy.send_request(request.unwrap())).await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_reset_at_the_app_end_with_goaway() {
    let app = App::start().await;
    let proxy = ProxySetup::new().local(&app).start().await;
    let client = proxy.client().alpn("h2");
    let stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = Tasks::new().spawn(connection);
    let mut resets = 0;
    while let Ok(ready) = soon(sender.ready()).await {
        sender = ready;
        let request = Request::get("https://localhost/gate").body(()).unwrap();
        let Ok((response, mut stream)) = sender.send_request(request, true) else {
            break;
        };
        let is_at_app = tokio::select! {
            () = app.gate_reached() => true,
            _ = response => false,
        };
        if !is_at_app {
            break;
        }
        stream.send_reset(Reason::CANCEL);
        resets += 1;
        assert!(resets < 5000);
    }
    let ended = soon(connection).await.unwrap().unwrap_err();
    // The client reads the GOAWAY, or finds the connection closed while it still writes.
    let is_calmed = ended.reason() == Some(Reason::ENHANCE_YOUR_CALM) || ended.is_io();
    assert!(is_calmed, "{ended}");
    assert!(resets >= 500, "a page that is left is no flood: {resets}");
    assert_neighbour_is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_leaves_connections_for_others() {
    const ALL: u64 = 20;
    let app = App::start().await;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let open_files = 64 + 8 * workers as u64 + 2 * ALL;
    let proxy = setup(&app, "").open_files(open_files).start().await;
    let client = proxy.client();
    let mut open = Vec::new();
    for _ in 0..ALL {
        let connecting = client.connect(proxy.https(), "localhost");
        open.extend(soon(connecting).await.ok());
    }
    assert!(open.len() as u64 <= ALL / 2, "{}", open.len());

    assert_neighbour_is_served(&proxy).await;

    // What the client closes, it may open again.
    drop(open);
    loop {
        if client.connect(proxy.https(), "localhost").await.is_ok() {
            break;
        }
    }
}
