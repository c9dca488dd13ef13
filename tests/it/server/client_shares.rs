//! What one client can make the proxy hold: memory, connections to backends, and work at the app. Others are served meanwhile.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{Request, Response};
use proxy::tasks::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::harness::backends::h2_origin::{H2Origin, Session};
use crate::harness::backends::web_app::App;
use crate::harness::clients::http2_frames::{GOAWAY, HEADERS, Http2Frames, RST_STREAM};
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

/// Setting of the window of each stream.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// Payload of a RST_STREAM with the code CANCEL.
const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
/// Share of one client in `stream-memory = "16m"`.
pub(super) const SHARE: u64 = 4 << 20;
/// Bytes of a connection besides: its own part of the streams' memory, TLS and buffers, unoptimized.
pub(super) const CONNECTION: u64 = 400 << 10;

pub(super) fn setup(app: &App, rest: &str) -> ProxySetup {
    let text = format!("[sites]\n\"localhost\" = \"{}\"\n{rest}\n", app.address);
    ProxySetup::new().proxyfile(&text)
}

/// Limit of open files with which a proxy may have twenty connections to clients and twenty to backends.
fn for_twenty_connections() -> u64 {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    64 + 8 * workers as u64 + 2 * 20
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

    // Heads that are refused are not in memory all at once.
    let grown = 1024 * (proxy.peak_memory() - before);

    assert!(refused > 300, "{refused}");
    assert!(
        grown < 2 * SHARE + CONNECTIONS * CONNECTION,
        "{grown} bytes"
    );
    assert_neighbour_is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_leaves_backend_connections_for_others() {
    let app = App::start().await;
    let proxy = setup(&app, "[upstreams]\nconnect-timeout = \"500ms\"")
        .open_files(for_twenty_connections())
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
async fn connections_with_a_login_count_for_their_client() {
    // Given a proxy that may open twenty connections to two backends.
    let (app, other) = (App::start().await, App::start().await);
    let text = format!(
        "[upstreams]\nconnect-timeout = \"500ms\"\n[sites.localhost]\nupstream = \"{}\"\n\
         routes = {{ \"/other\" = {{ upstream = \"{}\", strip-prefix = true }} }}",
        app.address, other.address
    );
    let proxy = ProxySetup::new()
        .proxyfile(&text)
        .open_files(for_twenty_connections())
        .start()
        .await;
    // When one client logs in at both over eight connections, which stay idle.
    let client = proxy.client().alpn("http/1.1");
    let (mut idle, mut statuses) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
        for path in ["/", "/other/"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Negotiate x\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut head = [0; 12];
            soon(stream.read_exact(&mut head)).await.unwrap();
            statuses.push(String::from_utf8_lossy(&head[9..]).into_owned());
            let mut rest = [0; 4096];
            let _ = soon(stream.read(&mut rest)).await.unwrap();
        }
        idle.push(stream);
    }
    // Then it gets its share of them, and others are served.
    let served = statuses.iter().filter(|status| *status == "200").count();
    assert_eq!((served, statuses.len()), (10, 16), "{statuses:?}");
    assert_neighbour_is_served(&proxy).await;
    drop(idle);
}

/// A backend that allows one stream per connection. Each time that `release` is notified, it answers one request for `/hold`.
async fn holding_origin(release: &Arc<Notify>) -> H2Origin {
    let release = Arc::clone(release);
    let origin = H2Origin::start(1, move |mut session: Session, _| {
        let release = Arc::clone(&release);
        async move {
            let mut held = Vec::new();
            loop {
                let accepted = tokio::select! {
                    accepted = session.accept() => accepted,
                    () = release.notified(), if !held.is_empty() => {
                        let mut respond: SendResponse<Bytes> = held.pop().unwrap();
                        respond.send_response(Response::new(()), true).unwrap();
                        continue;
                    }
                };
                let Some(Ok((request, mut respond))) = accepted else {
                    return;
                };
                if request.uri().path() == "/hold" {
                    held.push(respond);
                } else {
                    respond.send_response(Response::new(()), true).unwrap();
                }
            }
        }
    });
    origin.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_connections_with_few_streams_count_for_their_client() {
    // Given a backend that allows one stream per connection, and a proxy that may open twenty connections to it.
    let release = Arc::new(Notify::new());
    let origin = holding_origin(&release).await;
    let text = format!(
        "[sites]\n\"localhost\" = \"{}\"\n[upstreams]\nconnect-timeout = \"500ms\"",
        origin.url()
    );
    let proxy = ProxySetup::new()
        .proxyfile(&text)
        .open_files(for_twenty_connections())
        .start()
        .await;
    let mut greedy = proxy.client().http2(proxy.https(), "localhost").await;
    let mut ask = |path| {
        let request = Request::get(format!("https://localhost{path}")).body(Default::default());
        greedy.send_request(request.unwrap())
    };
    assert_eq!(soon(ask("/")).await.unwrap().status(), 200);
    // When one client wants more, then it gets its share, and others are served.
    let tasks = Tasks::new();
    let mut held: Vec<_> = (0..40).map(|_| tasks.spawn(ask("/hold"))).collect();
    while held.len() > 10 {
        let (answer, _, rest) = soon(futures_util::future::select_all(held)).await;
        assert_eq!(answer.unwrap().unwrap().status(), 503);
        held = rest;
    }
    assert_neighbour_is_served(&proxy).await;
    // What one request releases goes to the next one of the same client.
    for _ in 0..3 {
        release.notify_one();
        let (answer, _, rest) = soon(futures_util::future::select_all(held)).await;
        assert_eq!(answer.unwrap().unwrap().status(), 200);
        held = rest;
        assert_eq!(soon(ask("/")).await.unwrap().status(), 200);
    }
    assert!(origin.connections() <= 12, "{}", origin.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_leaves_slots_of_a_backend_for_others() {
    let app = App::start().await;
    let limits = "[upstreams]\nmax-connections = 20\nqueue-timeout = \"300ms\"";
    let proxy = setup(&app, limits).start().await;
    let mut greedy = proxy.client().http2(proxy.https(), "localhost").await;
    let tasks = Tasks::new();
    let mut held = Vec::new();
    for _ in 0..40 {
        let request = Request::get("https://localhost/gate").body(Default::default());
        held.push(tasks.spawn(greedy.send_request(request.unwrap())));
    }
    while held.len() > 17 {
        let (answer, _, rest) = soon(futures_util::future::select_all(held)).await;
        assert_eq!(answer.unwrap().unwrap().status(), 503);
        held = rest;
    }
    assert_neighbour_is_served(&proxy).await;
    // What one request releases goes to the next one of the same client.
    app.open_gate();
    let (answer, _, _held) = soon(futures_util::future::select_all(held)).await;
    assert_eq!(answer.unwrap().unwrap().status(), 200);
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
    let (mut reading, mut sending) = Http2Frames::start(stream, &[]).await.split();
    let goaway = reading.next_of_late(GOAWAY);
    tokio::pin!(goaway);
    let mut resets = 0;
    let goaway = loop {
        let stream = 2 * resets + 1;
        let reset = async {
            sending.get(stream, "localhost", "/gate").await;
            soon(app.gate_reached()).await;
            sending.send(RST_STREAM, 0, stream, &CANCEL).await;
        };
        tokio::select! {
            biased;
            goaway = &mut goaway => break goaway,
            () = reset => resets += 1,
        }
        assert!(resets < 5000);
    };
    let code = u32::from_be_bytes(goaway.payload[4..8].try_into().unwrap());
    assert_eq!(Reason::from(code), Reason::ENHANCE_YOUR_CALM);
    assert!(resets >= 500, "a page that is left is no flood: {resets}");
    assert_neighbour_is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_leaves_connections_for_others() {
    const ALL: u64 = 20;
    let app = App::start().await;
    let limited = setup(&app, "").open_files(for_twenty_connections());
    let proxy = limited.start().await;
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
