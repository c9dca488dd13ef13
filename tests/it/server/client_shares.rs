//! What one client can take of the proxy besides memory: connections, and work at the app. Others are served meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{Request, Response};
use proxy::tasks::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::client::TlsStream;

use super::limits::connect_from;
use crate::harness::backends::h2_origin::{H2Origin, Session};
use crate::harness::backends::web_app::App;
use crate::harness::clients::http2_frames::{GOAWAY, Http2Frames, RST_STREAM};
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

/// Payload of a RST_STREAM with the code CANCEL.
pub(super) const CANCEL: [u8; 4] = 8_u32.to_be_bytes();

pub(super) fn setup(app: &App, rest: &str) -> ProxySetup {
    let text = format!("[sites]\n\"localhost\" = \"{}\"\n{rest}\n", app.address);
    ProxySetup::new().proxyfile(&text)
}

/// Limit of open files with which a proxy may have twenty connections to clients and twenty to backends.
fn for_twenty_connections() -> u64 {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    64 + 8 * workers as u64 + 2 * 20
}

/// Connects as another client than all that connect from 127.0.0.1.
pub(super) async fn neighbour(client: &Client, proxy: SocketAddr) -> TlsStream<TcpStream> {
    let client = client.alpn("http/1.1");
    soon(connect_from(2, &client, proxy)).await.unwrap()
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
