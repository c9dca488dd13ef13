//! Limits on one client: time for each step, bytes and fields of a head, streams.

use http::Request;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client_shares::CANCEL;
use crate::harness::backends::web_app::App;
use crate::harness::clients::http2_frames::{GOAWAY, Http2Frames, RST_STREAM};
use crate::harness::clients::https::{Client, read};
use crate::harness::deadline::soon;
use crate::harness::open_files;
use crate::harness::proxy::{Proxy, ProxySetup};

async fn start(limits: &str) -> (Proxy, Client, App) {
    let app = App::start().await;
    let text = format!(
        "[sites]\n\"localhost\" = \"{}\"\n[limits]\n{limits}\n",
        app.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client().alpn("http/1.1");
    (proxy, client, app)
}

/// Reads until the proxy ends the connection.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_begin_times_out() {
    let (proxy, _, _app) = start("handshake-timeout = \"200ms\"").await;
    let mut silent = TcpStream::connect(proxy.https()).await.unwrap();
    assert_eq!(closed(&mut silent).await, b"");
    let mut partial = TcpStream::connect(proxy.https()).await.unwrap();
    partial.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    closed(&mut partial).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_end_times_out() {
    let (proxy, client, _app) = start("header-timeout = \"200ms\"").await;
    let mut slow = client.connect(proxy.https(), "localhost").await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        .await
        .unwrap();
    assert_eq!(closed(&mut slow).await, b"");
    let mut plain = TcpStream::connect(proxy.http()).await.unwrap();
    plain.write_all(b"GET / HT").await.unwrap();
    assert_eq!(closed(&mut plain).await, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed_after_the_idle_timeout() {
    let (proxy, client, _app) = start("idle-timeout = \"200ms\"").await;
    let mut idle = client.connect(proxy.https(), "localhost").await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let answer = String::from_utf8(closed(&mut idle).await).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_disconnected() {
    let (proxy, client, _app) = start("body-timeout = \"300ms\"").await;
    let mut stalled = client.connect(proxy.https(), "localhost").await.unwrap();
    let request = b"GET /download?200000000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stalled.write_all(request).await.unwrap();
    // The end of the proxy shows that the connection is gone: a drain would wait for it.
    let mut proxy = proxy;
    proxy.logged("listening").await;
    let mut head = [0; 15];
    stalled.read_exact(&mut head).await.unwrap();
    proxy.signal(Signal::TERM);
    assert!(proxy.ended().await.success());
    assert!(!proxy.log().contains("cut"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_is_refused() {
    let (proxy, client, _app) = start("").await;
    let fields = (0..150)
        .map(|n| format!("x-{n}: y\r\n"))
        .collect::<String>();
    let large = format!("x: {}\r\n", "y".repeat(40_000));
    for extra in [fields, large] {
        let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{extra}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(closed(&mut stream).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let mut sender = client.http2(proxy.https(), "localhost").await;
    let mut request = Request::get("https://localhost/");
    for n in 0..150 {
        request = request.header(format!("x-{n}"), "y");
    }
    let answer = sender
        .send_request(request.body(Default::default()).unwrap())
        .await;
    assert_eq!(read(answer.unwrap()).await.status, 431);
}

/// Open files for ten connections: two each, besides the reserve of the process and of its workers.
fn for_ten_connections() -> u64 {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    64 + 8 * workers as u64 + 2 * 10
}

/// Connects from the address 127.0.0.`n`.
pub(super) async fn connect_from(
    n: u8,
    client: &Client,
    proxy: std::net::SocketAddr,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((std::net::Ipv4Addr::new(127, 0, 0, n), 0).into())?;
    client.over(socket.connect(proxy).await?, "localhost").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_limited_by_the_limit_of_open_files() {
    let app = App::start().await;
    let proxy = ProxySetup::new()
        .local(&app)
        .open_files(for_ten_connections())
        .start()
        .await;
    let client = proxy.client().alpn("http/1.1");
    let mut open = Vec::new();
    // Each client has one, since one alone gets no more than half of them.
    for n in 1..=10 {
        open.push(connect_from(n, &client, proxy.https()).await.unwrap());
    }
    let next = connect_from(11, &client, proxy.https());
    let mut next = std::pin::pin!(next);
    let patience = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(patience, next.as_mut()).await.is_err());
    drop(open);
    soon(next).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_open_files_is_raised_to_the_hard_limit() {
    let args = ["--upstream", "localhost:1", "--domain", "localhost"];
    let setup = ProxySetup::new().args(args).raisable_files(100, 200);
    let proxy = setup.start().await;
    assert_eq!(open_files::limits(proxy.pid()), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_accept_are_one_line_a_second_with_their_number() {
    let (proxy, _client, _app) = start("").await;
    let failures = |log: &str| -> Vec<u64> {
        let lines = log.lines().filter(|line| line.contains("accept failed"));
        let count = |line: &str| line.split("failures=").nth(1)?.parse().ok();
        lines.map(|line| count(line).unwrap()).collect()
    };
    let begin = tokio::time::Instant::now();
    open_files::exhaust(proxy.pid());
    let mut waiting = Vec::new();
    for _ in 0..40 {
        waiting.push(TcpStream::connect(proxy.https()).await.unwrap());
    }
    soon(async {
        while failures(&proxy.log()).len() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(begin.elapsed() > std::time::Duration::from_millis(1900));
    let failures = failures(&proxy.log());
    assert!(
        failures[0] == 1 && failures[1] > 4 && failures[2] > 4,
        "{failures:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_header_list_is_limited_in_bytes() {
    let (proxy, client, _app) = start("").await;
    let client = client.alpn("h2");
    // Up to twice the size it is refused with the reason, and beyond that while it is read.
    for (size, status, has_page) in [
        (30_000, 200, true),
        (40_000, 431, true),
        (80_000, 431, false),
    ] {
        let stream = client.connect(proxy.https(), "localhost").await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        proxy::tasks::Tasks::new().spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let request = Request::get("https://localhost/").header("x", "y".repeat(size));
        let (response, _) = sender
            .send_request(request.body(()).unwrap(), true)
            .unwrap();
        match soon(response).await {
            Ok(response) => {
                assert_eq!(response.status(), status);
                assert_eq!(!response.body().is_end_stream(), has_page);
            }
            Err(error) => assert!(!has_page && error.is_reset(), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_of_http2_are_sent_to_the_client() {
    let (proxy, client, _app) = start("streams = 7").await;
    let stream = client
        .alpn("h2")
        .connect(proxy.https(), "localhost")
        .await
        .unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    proxy::tasks::Tasks::new().spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = Request::get("https://localhost/").body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    soon(response).await.unwrap();
    assert_eq!(sender.current_max_send_streams(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_resets_closes_the_connection() {
    let (proxy, client, _app) = start("").await;
    let client = client.alpn("h2");
    let stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let mut frames = Http2Frames::start(stream, &[]).await;

    // A client that reads nothing while it writes still finds the reason.
    for number in 0..5000 {
        let stream = 2 * number + 1;
        frames.get(stream, "localhost", "/gate").await;
        frames.send(RST_STREAM, 0, stream, &CANCEL).await;
    }

    let goaway = frames.next_of(GOAWAY).await;
    let code = u32::from_be_bytes(goaway.payload[4..8].try_into().unwrap());
    assert_eq!(h2::Reason::from(code), h2::Reason::ENHANCE_YOUR_CALM);
    let last = u32::from_be_bytes(goaway.payload[..4].try_into().unwrap());
    assert!(last < 2 * 5000 - 1, "{last}");
    while frames.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_one_client_do_not_use_up_all_files() {
    let app = App::start().await;
    let proxy = ProxySetup::new()
        .local(&app)
        .open_files(for_ten_connections())
        .start()
        .await;
    let client = proxy.client();
    let mut greedy = client.http2(proxy.https(), "localhost").await;
    let tasks = proxy::tasks::Tasks::new();
    let mut held = Vec::new();
    for _ in 0..100 {
        let request = Request::get("https://localhost/gate").body(Default::default());
        held.push(tasks.spawn(greedy.send_request(request.unwrap())));
    }
    // Ten of them hold all slots; the others are told so.
    let (answer, ..) = soon(futures_util::future::select_all(held)).await;
    let answer = answer.unwrap().unwrap();
    assert_eq!(answer.status(), 503);

    let other = client.alpn("http/1.1");
    soon(other.connect(proxy.https(), "localhost"))
        .await
        .unwrap();
    assert!(
        !proxy.log().contains("Too many open files"),
        "{}",
        proxy.log()
    );
}

/// Sends a request and reads its short answer, which ends with `body`.
async fn exchange(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    request: &str,
    body: &str,
) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with(body) {
        let mut bytes = [0; 1024];
        let len = soon(stream.read(&mut bytes)).await.unwrap();
        assert_ne!(len, 0, "the connection ended after: {answer}");
        answer.push_str(std::str::from_utf8(&bytes[..len]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_connection_serves_its_next_request() {
    let (proxy, client, _app) = start("idle-timeout = \"2s\"").await;
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let get = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let post = "POST /upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nabcde";
    for (request, body) in [(get, "hello"), (post, "5"), (get, "hello"), (get, "hello")] {
        exchange(&mut stream, request, body).await;
        // Longer than an idle connection keeps its buffers, shorter than its idle time-out.
        let pause = std::time::Duration::from_millis(300);
        let silence = tokio::time::timeout(pause, stream.read(&mut [0; 16])).await;
        assert!(silence.is_err(), "{silence:?}");
    }
    assert_eq!(closed(&mut stream).await, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_connection_is_closed_at_shutdown() {
    let (mut proxy, client, _app) = start("").await;
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    exchange(
        &mut stream,
        "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "hello",
    )
    .await;
    let pause = std::time::Duration::from_millis(300);
    let silence = tokio::time::timeout(pause, stream.read(&mut [0; 16])).await;
    assert!(silence.is_err(), "{silence:?}");
    proxy.signal(Signal::TERM);
    // A TLS close_notify reads as the end; a connection cut without it would be an error.
    assert_eq!(soon(stream.read(&mut [0; 16])).await.unwrap(), 0);
    assert!(proxy.ended().await.success());
}
