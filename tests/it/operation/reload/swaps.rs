//! Reloads under load: no request is lost, and running exchanges end as they began.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use proxy::tasks::Tasks;
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::fixtures::{named, send, version, versioned, whole};
use crate::harness::backends::web_app::App;
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;

/// Sends requests one after the other until the test stops it.
#[derive(Clone, Default)]
struct Load {
    is_over: Arc<AtomicBool>,
    answered: [Arc<AtomicUsize>; 2],
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn count(&self, response: &Response<Bytes>) {
        assert_eq!(
            (response.status(), &response.body()[..]),
            (StatusCode::OK, &b"hello"[..])
        );
        let version: usize = version(response).parse().unwrap();
        self.answered[version].fetch_add(1, Ordering::SeqCst);
    }

    async fn over_http1(self, mut sender: SendRequest<Full<Bytes>>) {
        while self.goes_on() {
            self.count(&send(&mut sender, "localhost").await);
        }
    }

    async fn over_http2(self, client: Client, address: SocketAddr) {
        let mut sender = client.http2(address, "localhost").await;
        while self.goes_on() {
            let request = Request::get("https://localhost/").body(Full::default());
            let response = soon(sender.send_request(request.unwrap())).await;
            self.count(&whole(response.unwrap()).await);
        }
    }

    async fn over_new_connections(self, client: Client, address: SocketAddr) {
        while self.goes_on() {
            let mut sender = client.http1(address, "localhost").await;
            self.count(&send(&mut sender, "localhost").await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_swaps_under_load_fail_no_request_and_order_nothing_again() {
    let app = App::start().await;
    let text = |n: usize| match n % 2 {
        0 => versioned(app.address, 0),
        _ => {
            versioned(app.address, 1)
                + "[sites.\"other.localhost\"]\nredirect = \"https://localhost\"\n"
        }
    };
    let mut proxy = ProxySetup::new().proxyfile(&text(0)).start().await;
    let (client, https) = (proxy.client(), proxy.https());
    let (load, tasks) = (Load::default(), Tasks::new());
    let mut running = Vec::new();
    for _ in 0..2 {
        let sender = client.http1(https, "localhost").await;
        running.push(tasks.spawn(load.clone().over_http1(sender)));
        running.push(tasks.spawn(load.clone().over_http2(client.clone(), https)));
    }
    running.push(tasks.spawn(load.clone().over_new_connections(client, https)));

    for n in 1..=200 {
        let line = proxy.reload(&text(n)).await;
        let (added, removed) = (n % 2, (n + 1) % 2);
        let counts = format!("added={added} removed={removed} changed=1");
        assert!(
            line.contains("configuration reloaded") && line.contains(&counts),
            "{line}"
        );
    }

    load.is_over.store(true, Ordering::SeqCst);
    for requests in running {
        requests.await.unwrap();
    }
    let answered = load.answered.map(|count| count.load(Ordering::SeqCst));
    assert!(answered.iter().all(|count| *count > 100), "{answered:?}");
    let log = proxy.log();
    assert_eq!(
        log.matches("certificate is being obtained").count(),
        2,
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_later_of_two_files_wins_however_quickly_it_follows() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new()
        .proxyfile(&versioned(app.address, 1))
        .start()
        .await;
    let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
    for round in [10, 20, 30] {
        for n in 0..9 {
            proxy.file("Proxyfile", &versioned(app.address, round + n));
            proxy.signal(Signal::HUP);
        }
        proxy.reload(&versioned(app.address, round + 9)).await;
        let last = (round + 9).to_string();
        soon(async { while version(&send(&mut sender, "localhost").await) != last {} }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_survives_the_removal_of_its_site() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new()
        .proxyfile(&versioned(app.address, 1))
        .start()
        .await;
    let client = proxy.client().alpn("http/1.1");
    let stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let opened = tokio_tungstenite::client_async("wss://localhost/echo", stream).await;
    let (mut socket, _) = opened.unwrap();
    for text in [
        versioned(app.address, 2),
        named(&["other.localhost"]),
        versioned(app.address, 3),
    ] {
        let line = proxy.reload(&text).await;
        assert!(line.contains("configuration reloaded"), "{line}");
        assert_echoes(&mut socket).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_drain_limit_web_sockets_of_removed_sites_and_routes_get_1001_and_requests_run_on() {
    // Given WebSockets at a site and a route that are going to be removed, and at one that stays, and a running request.
    let app = App::start().await;
    let text = |removed: &str, route: &str| {
        format!(
            "limits.drain-timeout = \"2s\"\n[sites]\n{removed}\"kept.localhost\" = {{ upstream = \"{0}\"{route} }}\n",
            app.address
        )
    };
    let before = text(
        &format!("\"gone.localhost\" = \"{}\"\n", app.address),
        &format!(
            ", routes = {{ \"/old\" = {{ upstream = \"{}\", strip-prefix = true }} }}",
            app.address
        ),
    );
    let mut proxy = ProxySetup::new().proxyfile(&before).start().await;
    let client = proxy.client().alpn("http/1.1");
    let opened = async |host: &str, path: &str| {
        let stream = client.connect(proxy.https(), host).await.unwrap();
        let url = format!("wss://{host}{path}");
        let opened = tokio_tungstenite::client_async(url, stream).await;
        opened.unwrap().0
    };
    let mut of_site = opened("gone.localhost", "/echo").await;
    let mut of_route = opened("kept.localhost", "/old/echo").await;
    let mut kept = opened("kept.localhost", "/echo").await;
    let (gated, https) = (client.clone(), proxy.https());
    let waiting =
        Tasks::new().spawn(async move { gated.get(https, "gone.localhost", "/gate").await });
    app.gate_reached().await;
    // When a reload removes them.
    let start = Instant::now();
    let line = proxy.reload(&text("", "")).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    // Then they go on until the limit.
    assert_echoes(&mut of_site).await;
    assert_echoes(&mut of_route).await;
    for socket in [&mut of_site, &mut of_route] {
        let told = soon(socket.next()).await.unwrap().unwrap();
        let Message::Close(Some(frame)) = told else {
            panic!("{told:?}");
        };
        assert_eq!(frame.code, CloseCode::Away);
        assert!(start.elapsed() >= Duration::from_secs(2));
    }
    assert_echoes(&mut kept).await;
    app.open_gate();
    assert_eq!(soon(waiting).await.unwrap().body, "through the gate");
}

async fn assert_echoes<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    socket.send(Message::text("still here")).await.unwrap();
    let echo = soon(socket.next()).await.unwrap().unwrap();
    assert_eq!(echo, Message::text("still here"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_request_ends_on_the_site_that_it_began_with() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new()
        .proxyfile(&versioned(app.address, 1))
        .start()
        .await;
    let (client, https) = (proxy.client(), proxy.https());
    let waiting = Tasks::new().spawn(async move { client.get(https, "localhost", "/gate").await });
    app.gate_reached().await;
    proxy.reload(&named(&["other.localhost"])).await;
    app.open_gate();
    assert_eq!(soon(waiting).await.unwrap().body, "through the gate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_do_not_grow_the_memory() {
    let text = |version: usize| {
        let body = "x".repeat(16 * 1024);
        let route = |n| format!("\"/{n}\" = {{ respond = {{ body = \"{version}{body}\" }} }}\n");
        let routes = (0..200).map(route).collect::<String>();
        format!("[sites.localhost.routes]\n{routes}")
    };
    let mut proxy = ProxySetup::new().proxyfile(&text(0)).start().await;
    let at_start = proxy.memory();
    // The allocator gives memory back when it gets to it, so a single look may see more than what stays.
    let mut least_after = async |versions: Range<usize>| {
        let mut least = u64::MAX;
        for version in versions {
            let line = proxy.reload(&text(version)).await;
            assert!(line.contains("configuration reloaded"), "{line}");
            least = least.min(proxy.memory());
        }
        least
    };
    let before = least_after(1..10).await;
    let after = least_after(10..60).await;
    // A reload has two configurations of more than 3 MiB, their texts and tables of their keys. The allocator keeps that room
    // for the next one.
    let first = before.saturating_sub(at_start);
    assert!(first < 40 * 1024, "{first} KiB by the first reloads");
    // Each router that stayed in memory would take more than 3 MiB.
    let grown = after.saturating_sub(before);
    assert!(grown < 5 * 1024, "{grown} KiB");
}
