//! An upgrade under load: no request is lost, WebSockets leave one after the other, and commands reach the new process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use proxy::tasks::Tasks;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::admin::run;
use crate::harness::backends::web_app::App;
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

/// Clients that never stop. Any request that fails fails the test.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// HTTP/1.1 on one connection, as long as it lasts.
    Kept,
    /// HTTP/1.1 on a new connection each time.
    New,
    Http2,
    /// The redirect of plain HTTP, on one connection.
    Plain,
}

impl Load {
    fn start(proxy: &Proxy) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let kinds = [Kind::Kept, Kind::New, Kind::Http2, Kind::Plain].repeat(2);
        let clients = kinds.into_iter().map(|kind| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let (client, addresses) = (proxy.client(), [proxy.http(), proxy.https()]);
            Tasks::new().spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    connection(kind, &client, addresses, &stop, &answered).await;
                }
            })
        });
        Self {
            clients: clients.collect(),
            stop,
            answered,
        }
    }

    /// Waits until the clients have got `more` responses.
    async fn answered(&self, more: usize) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        soon(async {
            while self.answered.load(Ordering::Relaxed) < enough {
                tokio::task::yield_now().await;
                assert!(
                    !self.clients.iter().any(|it| it.is_finished()),
                    "a client has failed"
                );
            }
        })
        .await;
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for client in join_all(self.clients).await {
            client.unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}

/// Sends requests on one connection until the proxy closes it. A connection that the proxy has announced to close, or closed
/// between two requests before the next was sent, is no failure.
async fn connection(
    kind: Kind,
    client: &Client,
    [http, https]: [SocketAddr; 2],
    stop: &AtomicBool,
    answered: &AtomicUsize,
) {
    let tasks = Tasks::new();
    match kind {
        Kind::Http2 => {
            let stream = client.alpn("h2").connect(https, "localhost").await.unwrap();
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut sender, connection) = http2::handshake(executor, TokioIo::new(stream))
                .await
                .unwrap();
            tasks.spawn(connection);
            while !stop.load(Ordering::Relaxed) && sender.ready().await.is_ok() {
                let request = Request::get("https://localhost/").body(Full::<Bytes>::default());
                match sender.try_send_request(request.unwrap()).await {
                    Ok(response) => assert_eq!(response.status(), StatusCode::OK),
                    Err(mut error) => {
                        // It was not sent if GOAWAY came before, and was not processed if it crosses the last GOAWAY.
                        let unsent = error.take_message();
                        let error = error.into_error();
                        assert!(unsent.is_some() || is_unprocessed(&error), "{error:?}");
                        return;
                    }
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
        Kind::Plain => {
            let stream = TcpStream::connect(http).await.unwrap();
            exchange(kind, TokioIo::new(stream), stop, answered).await;
        }
        Kind::Kept | Kind::New => {
            let client = client.alpn("http/1.1");
            let stream = client.connect(https, "localhost").await.unwrap();
            exchange(kind, TokioIo::new(stream), stop, answered).await;
        }
    }
}

/// `true` if the proxy says that it has not processed the request, so that any client may send it again (RFC 9113 sections
/// 6.8 and 8.7).
fn is_unprocessed(error: &hyper::Error) -> bool {
    let error = std::error::Error::source(error);
    let error = error.and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        let goes_away = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (goes_away || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

async fn exchange<S>(kind: Kind, stream: S, stop: &AtomicBool, answered: &AtomicUsize)
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    Tasks::new().spawn(connection);
    while !stop.load(Ordering::Relaxed) && sender.ready().await.is_ok() {
        let close = if matches!(kind, Kind::New) {
            "close"
        } else {
            "keep-alive"
        };
        let request = Request::get("/").header("host", "localhost");
        let request = request.header("connection", close);
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => panic!("{kind:?}: {error:?}"),
        };
        let expected = match kind {
            Kind::Plain => StatusCode::PERMANENT_REDIRECT,
            _ => StatusCode::OK,
        };
        assert_eq!(response.status(), expected);
        let ends = response
            .headers()
            .get("connection")
            .is_some_and(|it| it == "close");
        response.into_body().collect().await.unwrap();
        answered.fetch_add(1, Ordering::Relaxed);
        if ends {
            return;
        }
    }
}

async fn upgrades_under_load(count: usize) {
    // Given clients that never stop, of a site with a backend.
    let app = App::start().await;
    let mut proxy = ProxySetup::new().local(&app).start().await;
    let load = Load::start(&proxy);
    load.answered(50).await;
    // When the process is replaced again and again.
    let mut pids = vec![proxy.pid()];
    for _ in 0..count {
        pids.push(proxy.upgrade().await);
        load.answered(50).await;
    }
    // Then each client has got each response, and each process is another one.
    let answered = load.end().await;
    assert!(answered > 50 * count);
    pids.sort_by_key(|pid| pid.as_raw_nonzero());
    pids.dedup();
    assert_eq!(pids.len(), count + 1);
    assert!(proxy.first_ended().await.success());
    assert!(!proxy.log().contains("were cut"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_stop_lose_no_request() {
    upgrades_under_load(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: cargo test --test it -- --ignored fifty_upgrades"]
async fn clients_that_never_stop_lose_no_request_over_fifty_upgrades() {
    upgrades_under_load(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_sockets_of_the_old_process_are_closed_one_after_the_other() {
    // Given ten WebSockets, and 5 s for a drain.
    let app = App::start().await;
    let text = format!(
        "[limits]\ndrain-timeout = \"5s\"\n[sites]\nlocalhost = \"{}\"\n",
        app.address
    );
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client().alpn("http/1.1");
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let stream = client.connect(proxy.https(), "localhost").await.unwrap();
        let opened = client_async("wss://localhost/echo", stream).await;
        sockets.push(opened.unwrap().0);
    }
    // When the proxy is upgraded.
    proxy.upgrade().await;
    let start = Instant::now();
    // Then each goes on until a moment of its own, and is told to come back.
    let ends = sockets.into_iter().map(|mut socket| async move {
        let hello = Message::text("hello");
        socket.send(hello.clone()).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), hello);
        let told = soon(socket.next()).await.unwrap().unwrap();
        let Message::Close(Some(frame)) = told else {
            panic!("no close frame came, but {told:?}");
        };
        assert_eq!(frame.code, CloseCode::Away);
        assert!(soon(socket.next()).await.is_none());
        start.elapsed()
    });
    let mut ends = join_all(ends).await;
    ends.sort();
    assert!(ends[9] - ends[0] > Duration::from_millis(500), "{ends:?}");
    assert!(ends[9] < Duration::from_secs(5), "{ends:?}");
    assert!(proxy.first_ended().await.success());
    assert!(!proxy.log().contains("were cut"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_request_ends_in_the_old_process() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new().local(&app).start().await;
    let (client, https) = (proxy.client(), proxy.https());
    let request = Tasks::new().spawn({
        let client = client.clone();
        async move { client.get(https, "localhost", "/gate").await }
    });
    app.gate_reached().await;
    proxy.upgrade().await;
    assert_eq!(client.get(https, "localhost", "/").await.body, "hello");
    app.open_gate();
    assert_eq!(soon(request).await.unwrap().body, "through the gate");
    assert!(proxy.first_ended().await.success());
}

fn is_running(pid: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    state.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_reach_the_new_process() {
    let app = App::start().await;
    let text = format!("[sites]\nlocalhost = \"{}\"\n", app.address);
    let setup = ProxySetup::new()
        .proxyfile(&text)
        .args(["--metrics", "127.0.0.1:0"]);
    let mut proxy = setup.start().await;
    let second = proxy.upgrade().await;
    let last = proxy.upgrade().await;
    assert!(proxy.first_ended().await.success());
    soon(async {
        while is_running(second) {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let told = run(&proxy.data(), &["status", "--json"]).await;
    assert_eq!(told.code, 0, "{}", told.err);
    let told = run(&proxy.data(), &["reload"]).await;
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(is_running(last));

    // The command waits for the end of the process that serves, and not of the one that opened the socket.
    let told = run(&proxy.data(), &["stop"]).await;
    assert_eq!(
        (told.code, told.out.as_str()),
        (0, "stopped\n"),
        "{}",
        told.err
    );
    assert!(!is_running(last));
    assert!(!proxy.data().join("admin.sock").exists());
    assert!(TcpStream::connect(proxy.https()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_proxy_is_refused_while_two_share_the_data_directory() {
    let app = App::start().await;
    let text = format!("[sites]\nlocalhost = \"{}\"\n", app.address);
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let (client, https) = (proxy.client(), proxy.https());
    let request = Tasks::new().spawn(async move { client.get(https, "localhost", "/gate").await });
    app.gate_reached().await;
    proxy.upgrade().await;
    let config = proxy.file("Other", "listen = { http = \"127.0.0.1:0\", https = \"127.0.0.1:0\" }\n[sites]\nlocalhost = \"1\"\n");
    let told = run(
        &proxy.data(),
        &["run", "--config", &config.display().to_string()],
    )
    .await;
    assert_eq!(told.code, 1);
    assert!(
        told.err
            .contains("another proxy listens on the admin socket"),
        "{}",
        told.err
    );
    app.open_gate();
    assert_eq!(soon(request).await.unwrap().body, "through the gate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigusr2_upgrades_to_the_file_of_the_binary() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new().local(&app).start().await;
    proxy.signal(Signal::USR2);
    let line = proxy.logged("upgraded: the other process serves").await;
    let pid = line.split("pid=").nth(1).unwrap().split_whitespace().next();
    let pid = Pid::from_raw(pid.unwrap().parse().unwrap()).unwrap();
    proxy.adopt(pid);
    assert!(proxy.first_ended().await.success());
    let client = proxy.client();
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "hello"
    );
    kill_process(pid, Signal::TERM).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_process_reads_the_proxyfile_anew_and_opens_its_new_listeners() {
    let setup = ProxySetup::new();
    let other = crate::harness::ports::Reservation::new().address();
    let site = |body: &str| {
        format!(
            "[sites]\nlocalhost = {{ respond = {{ body = \"{body}\" }}, listen = [\"default\", \"lan\"] }}\n"
        )
    };
    let listen = format!(
        "[listen]\nhttp = \"{}\"\nhttps = [\"{}\", ",
        setup.http(),
        setup.https()
    );
    let before = format!(
        "{listen}{{ name = \"lan\", address = \"127.0.0.1:0\" }}]\n{}",
        site("old")
    );
    let mut proxy = setup.addresses_by_file().proxyfile(&before).start().await;
    let ready = proxy.output("ready http=").await;
    let lan: SocketAddr = ready.rsplit(',').next().unwrap().parse().unwrap();
    let after = format!(
        "{listen}{{ name = \"lan\", address = \"127.0.0.1:0\" }}, {{ name = \"lan\", address = \"{other}\" }}]\n{}",
        site("new")
    );
    proxy.file("Proxyfile", &after);

    proxy.upgrade().await;

    let client = proxy.client();
    for address in [proxy.https(), lan, other] {
        assert_eq!(
            client.get(address, "localhost", "/").await.body,
            "new",
            "{address}"
        );
    }
}
