//! Reloads of the Proxyfile: changes take effect at once, and everything else goes on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use proxy::tasks::Tasks;
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::clients::raw::RawStream;
use crate::harness::deadline::soon;
use crate::harness::dns::server::DnsServer;
use crate::harness::ports::Reservation;
use crate::harness::proxy::{Proxy, ProxySetup};

/// A Proxyfile whose site `localhost` sends this version in a field of its responses.
fn versioned(app: SocketAddr, version: usize) -> String {
    format!(
        "[sites.localhost]\nupstream = \"{app}\"\ndefault = true\nresponse-headers = {{ set = {{ X-Version = \"{version}\" }} }}\n"
    )
}

/// Sites that answer with their own names.
fn named(names: &[&str]) -> String {
    let site = |name: &&str| format!("\"{name}\" = {{ respond = {{ body = \"{name}\" }} }}\n");
    let sites = names.iter().map(site).collect::<String>();
    format!("[sites]\n{sites}")
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, host: &str) -> Response<Bytes> {
    let request = Request::get("/").header("host", host);
    let request = request.body(Full::default()).unwrap();
    sender.ready().await.unwrap();
    whole(soon(sender.send_request(request)).await.unwrap()).await
}

async fn whole(response: Response<Incoming>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

fn version(response: &Response<Bytes>) -> String {
    let version = response.headers().get("x-version").unwrap();
    version.to_str().unwrap().to_owned()
}

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
async fn a_bad_file_changes_nothing_and_every_mistake_is_reported() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new()
        .proxyfile(&versioned(app.address, 1))
        .start()
        .await;
    let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
    let other = versioned(app.address, 2);
    for (text, said) in [
        (
            format!("emial = \"a@b.c\"\n{other}hsts = \"soon\"\n"),
            &["Proxyfile:1:1: unknown key `emial`", "; ", ":6:8: "][..],
        ),
        ("[sites]\n".to_owned(), &["there is no site"]),
        (
            format!("storage = \"file:elsewhere\"\nadmin = \"other.sock\"\n{other}"),
            &["Proxyfile:2:9: `admin` cannot change while the proxy runs; restart the proxy"],
        ),
        (
            format!("{other}[log]\nformat = \"json\"\n"),
            &["Proxyfile:6:10: `log.format` cannot change"],
        ),
        (
            format!(
                "on-cert = \"nothing\"\n{other}tls = {{ cert = \"no.pem\", key = \"no.key\" }}\n"
            ),
            &[
                "nothing is not an executable file",
                "no.pem is not a readable PEM file",
                "no.key",
            ],
        ),
        (
            format!("[listen]\nhttp = \"x\"\n{other}"),
            &["`x` is not a valid address to listen on"],
        ),
    ] {
        let line = proxy.reload(&text).await;
        assert!(
            line.contains("ERROR") && line.contains("stays in effect"),
            "{line}"
        );
        assert_eq!(line.matches(said[0]).count(), 1, "{line}");
        for part in said {
            assert!(line.contains(part), "`{part}` is not in: {line}");
        }
        assert_eq!(version(&send(&mut sender, "localhost").await), "1");
    }
    // A flag sets the data directory, so that the file's setting has no effect, neither at the start nor now.
    let line = proxy
        .reload(&format!("storage = \"file:elsewhere\"\n{other}"))
        .await;
    assert!(line.contains("added=0 removed=0 changed=1"), "{line}");
    assert_eq!(version(&send(&mut sender, "localhost").await), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_reports_what_a_reload_would_refuse() {
    let ca = TestCa::root("test");
    let (certificate, key) = ca.loopback();
    let mut proxy = ProxySetup::new()
        .proxyfile(&named(&["localhost"]))
        .start()
        .await;
    let cert = proxy.file("cert.pem", &certificate.pem());
    proxy.file("key.pem", &key.serialize_pem());
    let text = "[sites.\"www.example.org\"]\nupstream = \"3000\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n";
    let line = proxy.reload(text).await;
    let path = cert.with_file_name("Proxyfile");
    let mut check = crate::harness::proxy::command();
    let check = check.args(["check", "--config", &path.display().to_string()]);
    let outcome = check.output().await.unwrap();
    let said = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(2), "{said}");
    assert!(
        said.contains("the certificate of www.example.org in"),
        "{said}"
    );
    assert!(line.contains(said.trim_end()), "{line}\n{said}");
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
        socket.send(Message::text("still here")).await.unwrap();
        let echo = soon(socket.next()).await.unwrap().unwrap();
        assert_eq!(echo, Message::text("still here"));
    }
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
async fn connections_to_a_backend_survive_a_reload() {
    let mut origin = Origin::ok().await;
    let mut proxy = ProxySetup::new()
        .proxyfile(&versioned(origin.address, 1))
        .start()
        .await;
    let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
    for version in 2..6 {
        let response = send(&mut sender, "localhost").await;
        assert_eq!(response.body(), "ok");
        origin.event().await;
        // The settings of the upstream change, but not those of its connections.
        let queue = format!("upstream-options = {{ queue = {} }}\n", 10 + version / 2);
        let line = proxy
            .reload(&(versioned(origin.address, version) + &queue))
            .await;
        assert!(line.contains("configuration reloaded"), "{line}");
    }
    assert_eq!(origin.connections(), 1);
}

const CONNECTION: &str = "ssl_verify_client optional;
    add_header x-connection $connection; add_header x-client $ssl_client_verify;
    location / { return 200; }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_connections_survive_until_roots_or_client_certificate_change() {
    let ca = TestCa::root("backends");
    for nginx in [
        Nginx::start(&ca, CONNECTION).await,
        Nginx::start_http2(&ca, CONNECTION).await,
    ] {
        let setup = ProxySetup::new();
        let root = setup.file("root.pem", &ca.pem());
        let text = |version: usize, queue: usize, tls: &str| {
            format!(
                "[sites.localhost]\nupstream = \"{}\"\nresponse-headers = {{ set = {{ X-Version = \"{version}\" }} }}\n\
                 [sites.localhost.upstream-options]\nidle-timeout = \"60s\"\nqueue = {queue}\ntls = {{ root = \"root.pem\"{tls} }}\n",
                nginx.url()
            )
        };
        let mut proxy = setup.proxyfile(&text(1, 10, "")).start().await;
        let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
        let first = connection(&send(&mut sender, "localhost").await);
        // A changed header field or queue does not need new connections.
        for (version, queue) in [(2, 10), (3, 11)] {
            let line = proxy.reload(&text(version, queue, "")).await;
            assert!(line.contains("configuration reloaded"), "{line}");
            let used_on = connection(&send(&mut sender, "localhost").await);
            assert_eq!(used_on, first);
        }

        let identity = nginx.identity();
        let (cert, key) = (identity.cert.display(), identity.key.display());
        let identity = format!(", cert = \"{cert}\", key = \"{key}\"");
        proxy.reload(&text(3, 11, &identity)).await;
        let (known, client) = connection(&send(&mut sender, "localhost").await);
        assert!(known != first.0 && client == "SUCCESS", "{client}");

        // The Proxyfile is the same, but a file that it names has changed.
        std::fs::write(&root, TestCa::root("others").pem()).unwrap();
        let line = proxy.reload(&text(4, 11, &identity)).await;
        assert!(line.contains("configuration reloaded"), "{line}");
        assert_eq!(send(&mut sender, "localhost").await.status(), 502);
        std::fs::write(&root, "").unwrap();
        let line = proxy.reload(&text(5, 11, &identity)).await;
        let reason = "root.pem holds no certificate";
        assert!(
            line.contains("not reloaded") && line.contains(reason),
            "{line}"
        );
    }
}

/// Returns the connection that the answer came on, and whether it resumed a session.
fn connection(response: &Response<Bytes>) -> (String, String) {
    assert_eq!(response.status(), StatusCode::OK);
    let field = |name| response.headers()[name].to_str().unwrap().to_owned();
    (field("x-connection"), field("x-client"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_named_backend_survive_until_other_resolvers_give_other_addresses() {
    const NAME: &str = "app.example.test";
    let dns = [DnsServer::start(), DnsServer::start()];
    let port = Reservation::new().address().port();
    let mut origins = Vec::new();
    for (number, dns) in [(31, &dns[0]), (32, &dns[1])] {
        let ip = Ipv4Addr::new(127, 0, 9, number);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{number}");
        origins.push(Origin::answering_on((ip, port).into(), answer).await);
        dns.a(NAME, ip);
    }
    let text = |version: usize, queue: usize, dns: &DnsServer| {
        format!(
            "resolvers = [\"{}\"]\n[sites.localhost]\nupstream = \"{NAME}:{port}\"\n\
             upstream-options = {{ idle-timeout = \"60s\", queue = {queue} }}\n\
             response-headers = {{ set = {{ X-Version = \"{version}\" }} }}\n",
            dns.address()
        )
    };
    let mut proxy = ProxySetup::new()
        .proxyfile(&text(1, 10, &dns[0]))
        .start()
        .await;
    let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
    for (version, queue) in [(1, 10), (2, 10), (3, 11)] {
        let line = proxy.reload(&text(version, queue, &dns[0])).await;
        assert!(line.contains("configuration reloaded"), "{line}");
        assert_eq!(send(&mut sender, "localhost").await.body(), "31");
    }
    assert_eq!(origins[0].connections(), 1);

    // Until the new resolvers have answered, the name keeps its addresses.
    proxy.reload(&text(3, 11, &dns[1])).await;
    soon(async { while send(&mut sender, "localhost").await.body() != "32" {} }).await;
    assert_eq!(origins[0].connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_are_added_and_removed_and_open_connections_stay() {
    let app = App::start().await;
    let ports: Vec<_> = (0..4).map(|_| Reservation::new()).collect();
    let [http, https, new_http, new_https] =
        [0, 1, 2, 3].map(|index: usize| ports[index].address());
    drop(ports);
    let text = |http, https| {
        format!("[listen]\nhttp = \"{http}\"\nhttps = \"{https}\"\n") + &versioned(app.address, 1)
    };
    let setup = ProxySetup::new().addresses_by_file();
    let mut proxy = setup.proxyfile(&text(http, https)).start().await;
    let client = proxy.client();
    let mut sender = client.http1(https, "localhost").await;

    // If one address is taken, the other one is not opened either.
    let other = Origin::ok().await;
    let taken = other.address;
    let line = proxy.reload(&text(new_http, taken)).await;
    assert!(
        line.contains(&format!("{taken} is in use by another program")),
        "{line}"
    );
    assert!(TcpStream::connect(new_http).await.is_err());

    let line = proxy.reload(&text(new_http, new_https)).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_eq!(client.get2(new_https, "localhost", "/").await.body, "hello");
    assert_eq!(send(&mut sender, "localhost").await.status(), 200);
    let location = redirect(new_http).await;
    assert!(location.starts_with(&format!("https://localhost:{}", new_https.port())));
    for gone in [http, https] {
        // The listeners of all workers are told at once; each closes when its worker gets to it.
        soon(async { while TcpStream::connect(gone).await.is_ok() {} }).await;
    }
    let line = proxy.reload(&text(http, https)).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_eq!(client.get(https, "localhost", "/").await.body, "hello");
    assert_eq!(send(&mut sender, "localhost").await.status(), 200);
}

/// Returns the target of the plain HTTP redirect.
async fn redirect(http: SocketAddr) -> String {
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = crate::harness::clients::raw::ask(http, request).await;
    crate::harness::clients::raw::header(&answer, "location")
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limits_keep_their_counts_until_the_rate_changes() {
    let app = App::start().await;
    let limited = |version, rate: &str| versioned(app.address, version) + "rate-limit = " + rate;
    let hourly = "{ requests = 2, per = \"1h\" }";
    let mut proxy = ProxySetup::new()
        .proxyfile(&limited(1, hourly))
        .start()
        .await;
    let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
    for _ in 0..2 {
        assert_eq!(send(&mut sender, "localhost").await.status(), 200);
    }
    proxy.reload(&limited(2, hourly)).await;
    assert_eq!(send(&mut sender, "localhost").await.status(), 429);
    proxy
        .reload(&limited(3, "{ requests = 3, per = \"1h\" }"))
        .await;
    assert_eq!(send(&mut sender, "localhost").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_names_get_certificates_and_removed_ones_are_no_longer_served() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let before = named(&["a.example.org", "b.example.org"]);
    let setup = setup.proxyfile(&before);
    let setup = setup.ca(&ca.directory_url(), &ca.root_pem());
    let mut proxy = setup.start().await;
    let (client, https) = (Client::new(&ca.issuing_root_pem()), proxy.https());
    for name in ["a.example.org", "b.example.org"] {
        assert_eq!(client.get(https, name, "/").await.body, name);
    }
    let mut removed = client.http1(https, "a.example.org").await;
    let serial = client.serial(https, "b.example.org").await.unwrap();

    let line = proxy
        .reload(&named(&["b.example.org", "c.example.org"]))
        .await;

    assert!(line.contains("added=1 removed=1 changed=0"), "{line}");
    soon(ca.counted(Step::Certificate, 3)).await;
    assert_eq!(
        client.get(https, "c.example.org", "/").await.body,
        "c.example.org"
    );
    assert_eq!(client.serial(https, "b.example.org").await.unwrap(), serial);
    assert!(client.connect(https, "a.example.org").await.is_err());
    assert_eq!(send(&mut removed, "a.example.org").await.status(), 421);

    // The stored certificate is served again.
    proxy.reload(&before).await;
    assert_eq!(
        client.get(https, "a.example.org", "/").await.body,
        "a.example.org"
    );
    assert_eq!(ca.certificates(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_changes_from_its_own_files_to_an_issuer_and_back_without_a_gap() {
    let ca = TestCa::root("test");
    let (certificate, key) = ca.loopback();
    let files = "[sites.localhost]\nrespond = { body = \"hello\" }\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n";
    let setup = ProxySetup::new();
    setup.file("cert.pem", &certificate.pem());
    setup.file("key.pem", &key.serialize_pem());
    let mut proxy = setup.proxyfile(files).start().await;
    let (with_files, https) = (Client::new(&ca.pem()), proxy.https());
    let own = with_files.serial(https, "localhost").await.unwrap();

    proxy.reload(&named(&["localhost"])).await;
    proxy.logged("certificate obtained").await;
    let issued = proxy.client().serial(https, "localhost").await.unwrap();
    assert_ne!(issued, own);

    proxy.reload(files).await;
    assert_eq!(with_files.serial(https, "localhost").await.unwrap(), own);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_certificate_policy_applies_to_open_connections() {
    let ca = TestCa::root("clients");
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("clients.pem", &ca.pem());
    let mut proxy = setup.proxyfile(&versioned(app.address, 1)).start().await;
    let (client, https) = (proxy.client(), proxy.https());
    let mut before = client.http1(https, "localhost").await;
    assert_eq!(send(&mut before, "localhost").await.status(), 200);

    proxy
        .reload(&(versioned(app.address, 2) + "client-auth = { ca = \"clients.pem\" }\n"))
        .await;

    assert_eq!(send(&mut before, "localhost").await.status(), 421);
    let (certificate, key) = ca.client("alice");
    let alice = client.identified(&certificate, &key);
    let mut known = alice.http1(https, "localhost").await;
    assert_eq!(send(&mut known, "localhost").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_go_to_the_current_log_and_the_level_changes() {
    let app = App::start().await;
    let logged = |version, file: &str, level: &str| {
        format!(
            "access-log = \"{file}\"\n{}[log]\nlevel = \"{level}\"\n",
            versioned(app.address, version)
        )
    };
    let mut proxy = ProxySetup::new()
        .proxyfile(&logged(1, "one.log", "info"))
        .start()
        .await;
    let one = proxy.data().with_file_name("one.log");
    let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
    send(&mut sender, "localhost").await;
    let mut plain = RawStream::connect(proxy.http()).await;
    let redirected = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    plain.send(redirected).await;
    plain.read_head().await.unwrap();
    proxy.reload(&logged(2, "two.log", "debug")).await;
    plain.send(redirected).await;
    plain.read_head().await.unwrap();
    for _ in 0..3 {
        send(&mut sender, "localhost").await;
    }
    proxy.client().get(proxy.https(), "localhost", "/").await;
    let stranger = proxy.client().connect(proxy.https(), "b.localhost").await;
    stranger.unwrap_err();
    proxy.logged("DEBUG").await;
    let setup = proxy.stop().await;
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(lines(&one), 2);
    assert_eq!(lines(&setup.data().with_file_name("two.log")), 5);
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
    for version in 1..10 {
        proxy.reload(&text(version)).await;
    }
    let before = proxy.memory();
    for version in 10..60 {
        let line = proxy.reload(&text(version)).await;
        assert!(line.contains("configuration reloaded"), "{line}");
    }
    // Each router that stayed in memory would take more than 3 MiB.
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_a_reload_changes_nothing() {
    let app = App::start().await;
    let mut proxy: Proxy = ProxySetup::new().local(&app).start().await;
    proxy.signal(Signal::HUP);
    proxy.logged("nothing to reload").await;
    let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
    assert_eq!(answer.body, "hello");
}
