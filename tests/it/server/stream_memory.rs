//! The memory of HTTP/2 streams: all that a client leaves unread is counted, and nothing that is only possible. A client that
//! reads gets all that it asked for.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use proxy::tasks::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::client_shares::{assert_neighbour_is_served, neighbour, setup};
use super::memory_bounds::{
    CONNECTION, LARGE_BACKEND_CONNECTION, OWN, REQUEST, SHARE, bound, with_little_memory,
};
use crate::harness::admin::refused;
use crate::harness::backends::web_app::App;
use crate::harness::clients::http2_frames::{HEADERS, Http2Frames, RST_STREAM};
use crate::harness::deadline::soon;
use crate::harness::proxy::Proxy;

/// Bytes that are counted for each tunnel.
const TUNNEL: u64 = 32 << 10;

/// Opens an HTTP/2 connection of a client that lets its kernel take little.
async fn frames_with_small_buffers(
    proxy: &Proxy,
) -> Http2Frames<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = soon(socket.connect(proxy.https())).await.unwrap();
    let client = proxy.client().alpn("h2");
    let stream = soon(client.over(stream, "localhost")).await.unwrap();
    Http2Frames::start(stream, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_heads_of_responses_that_a_client_does_not_read_are_bounded_in_sum() {
    const CONNECTIONS: u64 = 10;
    const STREAMS: u32 = 250;
    // Given a client that asks for many responses with large heads, and reads none of them.
    let (app, proxy) = with_little_memory().await;
    let before = proxy.memory();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut frames = frames_with_small_buffers(&proxy).await;
        for number in 0..STREAMS {
            let path = "/large-head?45000";
            frames.get(2 * number + 1, "localhost", path).await;
        }
        open.push(frames);
    }

    // When the app has answered all that reach it.
    let mut answered = 0;
    while std::mem::replace(&mut answered, app.answered()) != answered || answered == 0 {
        for _ in 0..20 {
            assert_neighbour_is_served(&proxy).await;
        }
    }

    // Then the proxy has not grown much. Once the client reads, each stream gets its head, or is refused.
    let running = (SHARE + CONNECTIONS * OWN) / REQUEST;
    let grown = 1024 * (proxy.peak_memory() - before);
    let most = SHARE + CONNECTIONS * CONNECTION + running * LARGE_BACKEND_CONNECTION;
    assert!(grown < most, "{grown} bytes of {most}");
    for mut frames in open {
        let mut undecided: HashSet<u32> = (0..STREAMS).map(|number| 2 * number + 1).collect();
        while !undecided.is_empty() {
            let frame = frames.next().await.expect("the connection lives on");
            if [HEADERS, RST_STREAM].contains(&frame.kind) {
                undecided.remove(&frame.stream);
            }
        }
    }
}

pub(super) async fn h2_client(proxy: &Proxy, tasks: &Tasks) -> SendRequest<Bytes> {
    let client = proxy.client().alpn("h2");
    let stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(1 << 24)
        .initial_connection_window_size(1 << 24);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    tasks.spawn(connection);
    soon(sender.ready()).await.unwrap()
}

/// A request for a WebSocket to the app.
pub(super) fn web_socket() -> Request<()> {
    Request::builder()
        .method(Method::CONNECT)
        .uri("https://localhost/echo")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_of_one_client_are_bounded_in_sum() {
    const CONNECTIONS: u64 = 4;
    let (_app, proxy) = with_little_memory().await;
    let tasks = Tasks::new();
    let before = proxy.memory();
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..CONNECTIONS {
        let mut sender = h2_client(&proxy, &tasks).await;
        // The proxy's settings, which allow this method, come before its first response.
        let request = Request::get("https://localhost/").body(()).unwrap();
        soon(sender.send_request(request, true).unwrap().0)
            .await
            .unwrap();
        for _ in 0..200 {
            sender = soon(sender.ready()).await.unwrap();
            let (response, stream) = sender.send_request(web_socket(), false).unwrap();
            match soon(response).await {
                Ok(response) => open.push((response, stream)),
                Err(error) => {
                    let reason = error.reason();
                    let refusals = [Reason::REFUSED_STREAM, Reason::ENHANCE_YOUR_CALM];
                    assert!(
                        reason.is_some_and(|reason| refusals.contains(&reason)),
                        "{error}"
                    );
                    refused += 1;
                }
            }
        }
    }

    let most = (SHARE + CONNECTIONS * OWN) / TUNNEL;
    assert!(open.len() as u64 <= most, "{}", open.len());
    assert_eq!(open.len() + refused, 800);
    let grown = 1024 * (proxy.memory() - before);
    let most = bound(SHARE, CONNECTIONS, most);
    assert!(grown < most, "{grown} bytes of {most}");
    assert_neighbour_is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_that_have_uploaded_take_nothing_from_their_neighbours() {
    // Given an office whose idle connections have each sent a file.
    let app = App::start().await;
    let proxy = setup(&app, "").start().await;
    let client = proxy.client();
    let mut idle = Vec::new();
    for _ in 0..75 {
        let mut sender = client.http2(proxy.https(), "localhost").await;
        let file = Full::from(vec![b'x'; 100_000]);
        let request = Request::post("https://localhost/upload")
            .body(file)
            .unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        let body = soon(response.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "100000");
        idle.push(sender);
    }

    // When the others work, then each gets what it asks for.
    let mut working = Vec::new();
    for _ in 0..4 {
        working.push(client.http2(proxy.https(), "localhost").await);
    }
    let requests = working.iter().flat_map(|sender| {
        let paths = std::iter::repeat_n("/", 60).chain(std::iter::repeat_n("/download?1000000", 6));
        paths.map(|path| {
            let request = Request::get(format!("https://localhost{path}")).body(Full::default());
            let mut sender = sender.clone();
            async move {
                let response = sender.send_request(request.unwrap()).await.unwrap();
                let body = response.into_body().collect().await.unwrap();
                body.to_bytes().len()
            }
        })
    });
    let lens = soon(join_all(requests)).await;
    assert_eq!(lens.iter().sum::<usize>(), 4 * (60 * 5 + 6 * 1_000_000));
    refused(&proxy, &[]).await;
    drop(idle);
}

/// Reads a whole body.
async fn read(mut body: RecvStream) -> usize {
    let mut len = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        len += data.len();
    }
    len
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_a_share_wait_for_their_turn() {
    // Given memory for about a hundred running requests of a client.
    let app = App::start().await;
    let proxy = setup(&app, "[limits]\nstream-memory = \"8m\"")
        .start()
        .await;
    let tasks = Tasks::new();
    let mut sender = h2_client(&proxy, &tasks).await;

    // When it sends all that a connection may have at once.
    let mut responses = Vec::new();
    for _ in 0..250 {
        let request = Request::get("https://localhost/").body(()).unwrap();
        responses.push(sender.send_request(request, true).unwrap().0);
    }
    let answered = responses
        .into_iter()
        .map(async |response| response.await.unwrap().status());

    // Then all are answered.
    assert_eq!(soon(join_all(answered)).await, [200; 250]);
    refused(&proxy, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_beyond_a_share_wait_and_are_complete() {
    // Given memory for the requests of a client, and for hardly more.
    let app = App::start().await;
    let limits = "[limits]\nstream-memory = \"512k\"";
    let proxy = setup(&app, limits).start().await;
    let tasks = Tasks::new();
    let mut sender = h2_client(&proxy, &tasks).await;

    // When it asks for all at once and reads all.
    let mut downloads = Vec::new();
    for _ in 0..10 {
        let request = Request::get("https://localhost/download?1000000")
            .body(())
            .unwrap();
        downloads.push(sender.send_request(request, true).unwrap().0);
    }
    let read = downloads
        .into_iter()
        .map(async |response| read(response.await.unwrap().into_body()).await);

    // Then it gets all.
    assert_eq!(soon(join_all(read)).await, [1_000_000; 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_read_first_leave_memory_for_other_clients() {
    // Given a client that sends the beginnings of many bodies without a length.
    let app = App::start().await;
    let rest = "[upstreams]\nbuffer-requests = \"10m\"\n[limits]\nstream-memory = \"4m\"";
    let proxy = setup(&app, rest).start().await;
    let tasks = Tasks::new();
    let mut sender = h2_client(&proxy, &tasks).await;
    let (mut responses, mut uploads) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let request = Request::post("https://localhost/upload").body(()).unwrap();
        let (response, mut upload) = sender.send_request(request, false).unwrap();
        upload
            .send_data(Bytes::from(vec![b'x'; 300_000]), false)
            .unwrap();
        responses.push(response);
        uploads.push(upload);
    }

    // When it has its share, one of them is refused.
    let (answer, _, held) = soon(futures_util::future::select_all(responses)).await;
    assert_eq!(answer.unwrap().status(), 503);

    // Then another client's body is read.
    let mut stream = neighbour(&proxy.client(), proxy.https()).await;
    let request = b"POST /upload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop((held, uploads));
}
