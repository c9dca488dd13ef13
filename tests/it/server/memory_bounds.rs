//! The memory that clients make the proxy hold: it stays below the bounds of `docs/operations.md`, for one client and in all.

use std::collections::HashSet;
use std::time::Duration;

use h2::Reason;
use http::Request;
use proxy::tasks::Tasks;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::client_shares::{assert_neighbour_is_served, setup};
use super::limits::connect_from;
use crate::harness::backends::web_app::App;
use crate::harness::clients::http2_frames::{HEADERS, Http2Frames, RST_STREAM};
use crate::harness::deadline::soon;
use crate::harness::proxy::Proxy;

/// Setting of the window of each stream.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// Bytes of `stream-memory` in the tests, and the share of one client in them.
pub(super) const ALL: u64 = 16 << 20;
pub(super) const SHARE: u64 = ALL / 4;
/// Bytes of a connection besides: its own part of the streams' memory, TLS and buffers, unoptimized.
pub(super) const CONNECTION: u64 = 400 << 10;
/// Bytes of the buffers of a connection to a backend: usually, and after a large head or body.
pub(super) const BACKEND_CONNECTION: u64 = 20 << 10;
pub(super) const LARGE_BACKEND_CONNECTION: u64 = 96 << 10;
/// Bytes that are counted for each request at least.
pub(super) const REQUEST: u64 = 16 << 10;
/// Bytes of its own that each connection may hold.
pub(super) const OWN: u64 = 64 << 10;

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

/// Most bytes that clients with these connections hold, if their streams may hold `streams`, and their requests run over `backend`
/// connections to backends. The sum of the lines in `docs/operations.md`.
pub(super) fn bound(streams: u64, connections: u64, backend: u64) -> u64 {
    streams + connections * CONNECTION + backend * BACKEND_CONNECTION
}

/// Streams of one connection whose responses nobody reads.
const UNREAD: u32 = 250;

/// Asks for responses that the client does not read. Returns the connection, and how many of them began and were reset.
async fn leave_unread(stream: TlsStream<TcpStream>) -> (impl Sized, u64, u64) {
    let mut frames = Http2Frames::start(stream, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let mut undecided: HashSet<u32> = (0..UNREAD).map(|number| 2 * number + 1).collect();
    for number in 0..UNREAD {
        frames
            .get(2 * number + 1, "localhost", "/download?200000")
            .await;
    }
    // Each stream gets its head, or is refused.
    let pause = Duration::from_millis(500);
    let (mut heads, mut resets) = (0, 0);
    loop {
        let frame = match timeout(pause, frames.next()).await {
            Ok(frame) => frame.expect("the connection lives on"),
            Err(_) if undecided.is_empty() => return (frames, heads, resets),
            Err(_) => frames.next().await.expect("the connection lives on"),
        };
        match frame.kind {
            HEADERS => heads += 1,
            RST_STREAM => resets += 1,
            kind => panic!("frame of type {kind} although no window is open"),
        }
        undecided.remove(&frame.stream);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_a_client_does_not_read_are_bounded_in_sum() {
    const CONNECTIONS: u64 = 8;
    let (_app, proxy) = with_little_memory().await;
    let client = proxy.client().alpn("h2");
    let before = proxy.memory();
    let (mut open, mut begun, mut reset) = (Vec::new(), 0, 0);
    for _ in 0..CONNECTIONS {
        let stream = client.connect(proxy.https(), "localhost").await.unwrap();
        let (connection, heads, resets) = leave_unread(stream).await;
        open.push(connection);
        (begun, reset) = (begun + heads, reset + resets);
    }

    let grown = 1024 * (proxy.memory() - before);

    let most = bound(SHARE, CONNECTIONS, begun);
    assert!(grown < most, "{grown} bytes of {most}");
    assert!(reset > 1000, "{reset}");
    assert_neighbour_is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_many_clients_do_not_read_are_bounded_in_all() {
    // Given clients whose shares, were they alone, would be three times as much as there is.
    const CLIENTS: u8 = 12;
    let (_app, proxy) = with_little_memory().await;
    let client = proxy.client().alpn("h2");
    let before = proxy.memory();
    let (mut open, mut begun) = (Vec::new(), 0);
    for number in 0..CLIENTS {
        let stream = soon(connect_from(10 + number, &client, proxy.https())).await;
        let (connection, heads, _) = leave_unread(stream.unwrap()).await;
        assert!(heads > 0, "some is left for client {number}");
        open.push(connection);
        begun += heads;
    }

    let grown = 1024 * (proxy.memory() - before);

    let most = bound(ALL, u64::from(CLIENTS), begun);
    assert!(grown < most, "{grown} bytes of {most}");
    assert_neighbour_is_served(&proxy).await;
}

#[test]
fn the_docs_tell_the_bounds_that_hold_by_default() {
    let limits = proxy::server::Limits::default();
    let connections = usize::from(limits.connections_per_client);
    let all = limits.stream_memory >> 20;
    assert_eq!((connections, all), (1000, 256));
    let (share, per) = (all / 4, usize::try_from(CONNECTION >> 10).unwrap());
    let sum = share + (connections * per).div_ceil(1024);
    let (small, large) = (BACKEND_CONNECTION >> 10, LARGE_BACKEND_CONNECTION >> 10);
    let docs = include_str!("../../../docs/operations.md").replace('\n', " ");
    for told in [
        format!("| `connections-per-client`, {connections}; "),
        format!("| at most {per} KiB each | at most {per} KiB each |"),
        format!("| a quarter of `stream-memory`, {share} MiB | `stream-memory`, {all} MiB |"),
        format!("| {small} KiB, at most {large} KiB after large heads or bodies |"),
        format!("{share} MiB + {connections} × {per} KiB, which is about {sum} MiB"),
    ] {
        assert!(docs.contains(&told), "{told}");
    }
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

    // Heads that are refused are not in memory all at once.
    let grown = 1024 * (proxy.peak_memory() - before);

    assert!(refused > 300, "{refused}");
    let most = bound(SHARE, CONNECTIONS, (SHARE + CONNECTIONS * OWN) / REQUEST);
    assert!(grown < most, "{grown} bytes of {most}");
    assert_neighbour_is_served(&proxy).await;
}
