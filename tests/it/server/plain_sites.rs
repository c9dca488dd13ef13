//! Sites that are served over plain HTTP, alone or beside HTTPS.

use futures_util::{SinkExt, StreamExt};
use http::Request;
use http_body_util::Full;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::https::{Client, read};
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

/// A proxy with a site of each kind, and these lines at the top of its Proxyfile.
async fn start(top: &str) -> (Proxy, App) {
    let app = App::start().await;
    let site = |name: &str, rest: &str| {
        let upstream = app.address;
        format!("\"{name}\" = {{ upstream = \"{upstream}\", hsts = \"1y\"{rest} }}\n")
    };
    let text = [
        format!("{top}\n[sites]\n"),
        site("localhost", ", http = \"serve\", aliases = [\"::1\"]"),
        site("both.localhost", ", http = \"both\", min-tls = \"1.3\""),
        site("redirect.localhost", ", http = \"redirect\""),
    ];
    let proxy = ProxySetup::new().proxyfile(&text.concat()).start().await;
    (proxy, app)
}

fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_site_is_served_on_the_http_listener_and_has_no_certificate() {
    let (proxy, _app) = start("forwarded = true").await;
    for host in ["localhost", "LOCALHOST:8080", "[::1]:80"] {
        let answer = ask(proxy.http(), get(host, "/fields")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
        assert_eq!(header(&answer, "strict-transport-security"), None);
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(header(body, "x-forwarded-proto"), Some("http"), "{body}");
        let forwarded = header(body, "forwarded").unwrap();
        assert!(forwarded.ends_with(";proto=http"), "{forwarded}");
    }
    let client = proxy.client();
    assert!(client.connect(proxy.https(), "localhost").await.is_err());
    let mut others = client.http1(proxy.https(), "both.localhost").await;
    let request = Request::get("/").header("host", "localhost");
    let request = request.body(Full::default()).unwrap();
    let answer = read(others.send_request(request).await.unwrap()).await;
    assert_eq!(answer.status, 421);
    let answer = ask(proxy.https(), get("localhost:8443", "/")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webdav_destination_over_plain_http_fits_the_backend() {
    let (proxy, _app) = start("").await;
    // The scheme is that of the client, which may be another than that of the connection.
    for scheme in ["http", "https"] {
        let request = format!(
            "COPY /fields HTTP/1.1\r\nhost: localhost\r\ndestination: {scheme}://localhost/x\r\n\
             connection: close\r\n\r\n"
        );
        let answer = ask(proxy.http(), request).await;
        assert!(
            answer.contains("destination: http://localhost/x\n"),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_site_decides_over_which_of_the_two_it_is_served() {
    let (proxy, _app) = start("").await;
    let mut stream = RawStream::connect(proxy.http()).await;
    for (host, path, status) in [
        ("both.localhost", "/", "200"),
        ("redirect.localhost", "/", "308"),
        ("localhost", "/.well-known/acme-challenge/x", "200"),
        ("localhost", "/", "200"),
        ("example.org", "/", "404"),
    ] {
        // One connection carries requests for all of them.
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.send(request).await;
        let head = stream.read_head().await.unwrap();
        assert_eq!(head.split(' ').nth(1), Some(status), "{host}: {head}");
        stream.read_body(&head).await.unwrap();
    }
    for name in ["both.localhost", "redirect.localhost"] {
        let seen = proxy.client().fields(proxy.https(), name, &[]).await;
        assert_eq!(header(&seen, "x-forwarded-proto"), Some("https"), "{name}");
    }
    let old = proxy.tls12_client();
    assert!(old.connect(proxy.https(), "both.localhost").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_and_an_upload_go_through_plain_http() {
    let (proxy, _app) = start("").await;
    let stream = TcpStream::connect(proxy.http()).await.unwrap();
    let request = "ws://localhost/echo".into_client_request().unwrap();
    let connecting = tokio_tungstenite::client_async(request, stream);
    let (mut socket, _) = soon(connecting).await.unwrap();
    let message = Message::binary(vec![7; 300_000]);
    socket.send(message.clone()).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), message);

    let upload = format!(
        "POST /upload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    let answer = ask(proxy.http(), upload).await;
    assert!(answer.ends_with("\r\n\r\n100000"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_that_terminates_tls_a_trusted_word_makes_the_site_https() {
    let ca = TestCa::root("front");
    for (trust, proto) in [("trust = [\"127.0.0.1\"]", "https"), ("", "http")] {
        let (proxy, _app) = start(trust).await;
        let front = format!(
            "location / {{ proxy_pass http://{}; proxy_set_header Host localhost;
             proxy_set_header X-Forwarded-Proto $scheme; }}",
            proxy.http()
        );
        let nginx = Nginx::start(&ca, &front).await;
        let request = Request::get("/fields").header("host", "localhost");
        let client = Client::new(&ca.pem());
        let mut sender = client.http1(nginx.address, "localhost").await;
        let request = request.body(Full::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let hsts = answer.headers().contains_key("strict-transport-security");
        assert_eq!(hsts, proto == "https", "{trust}");
        let seen = String::from_utf8(read(answer).await.body.to_vec()).unwrap();
        assert_eq!(header(&seen, "x-forwarded-proto"), Some(proto), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_over_what_a_site_is_served() {
    let app = App::start().await;
    let text = |http: &str| {
        let upstream = app.address;
        format!("[sites]\n\"localhost\" = {{ upstream = \"{upstream}\", http = \"{http}\" }}\n")
    };
    let setup = ProxySetup::new().proxyfile(&text("serve"));
    let mut proxy = setup.start().await;
    for (http, status) in [("redirect", "308"), ("serve", "200"), ("both", "200")] {
        proxy.reload(&text(http)).await;
        let answer = ask(proxy.http(), get("localhost", "/")).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{http}");
    }
    let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cookie_of_a_backend_is_secure_only_over_tls() {
    let (one, other) = (App::start().await, App::start().await);
    let text = format!(
        "[sites.\"both.localhost\"]\nupstream = [\"{}\", \"{}\"]\nbalance = \"cookie\"\nhttp = \"both\"\n",
        one.address, other.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;

    let plain = ask(proxy.http(), get("both.localhost", "/")).await;

    let cookie = header(&plain, "set-cookie").unwrap();
    assert!(cookie.starts_with("backend="), "{cookie}");
    assert!(!cookie.contains("Secure"), "{cookie}");
    let (own, _) = cookie.split_once(';').unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nhost: both.localhost\r\ncookie: {own}\r\nconnection: close\r\n\r\n"
    );
    let again = ask(proxy.http(), request).await;
    assert_eq!(
        header(&again, "set-cookie"),
        None,
        "the client keeps its backend"
    );
    let mut client = proxy.client().http1(proxy.https(), "both.localhost").await;
    let request = Request::get("/")
        .header("host", "both.localhost")
        .header("cookie", own);
    let request = request.body(Full::default()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.starts_with("__Host-backend=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
}
