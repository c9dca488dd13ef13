//! Counters of refusals: every refusal is counted by its reason, on every listener and in every protocol, and nothing else.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::admin::refused;
use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::https::{Client, read};
use crate::harness::clients::raw::{RawStream, ask};
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

/// A proxy with these limits and several sites in front of one app, one of them the default. It logs no requests.
async fn start(limits: &str) -> (Proxy, App) {
    let app = App::start().await;
    let setup = ProxySetup::new();
    let text = sites(&app, limits);
    (setup.proxyfile(&text).start().await, app)
}

fn sites(app: &App, limits: &str) -> String {
    let address = app.address;
    format!(
        "[limits]\n{limits}\n[sites]\n\
         \"localhost\" = {{ upstream = \"{address}\", max-body = \"3\" }}\n\
         \"a.localhost\" = {{ upstream = \"{address}\", rate-limit = {{ requests = 1, per = \"1d\", burst = 1 }} }}\n"
    )
}

/// Sends a request over HTTP/1.1 on a new connection to `localhost`; returns the status.
async fn status1(proxy: &Proxy, request: &str) -> String {
    let client = proxy.client().alpn("http/1.1");
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    // The proxy may answer and close before it has read everything. What it has sent until then can be read all the same.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

const CLOSE: &str = "connection: close\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_of_bad_request_is_counted_over_http1() {
    let (proxy, _app) = start("head-size = \"128k\"").await;
    let known = "host: localhost\r\n";
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\n{known}no field\r\n\r\n"), "400"),
        (format!("GET / HTTP/1.1\r\n{CLOSE}\r\n"), "400"),
        (
            format!("POST / HTTP/1.1\r\n{known}{CLOSE}content-length: 9\r\n\r\n"),
            "413",
        ),
        (
            format!("GET /{} HTTP/1.1\r\n{known}\r\n", "x".repeat(70_000)),
            "414",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: a.localhost\r\n{CLOSE}\r\n"),
            "421",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: example.org\r\n{CLOSE}\r\n"),
            "421",
        ),
        (
            format!("GET / HTTP/1.1\r\n{known}{}\r\n", "x: y\r\n".repeat(150)),
            "431",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\n{known}x: {}\r\n\r\n",
                "y".repeat(200_000)
            ),
            "431",
        ),
    ] {
        assert_eq!(status1(&proxy, &request).await, status, "{request:.80}");
    }
    let client = proxy.client();
    for status in [200, 429, 429] {
        let answer = client.get(proxy.https(), "a.localhost", "/").await;
        assert_eq!(answer.status, status);
    }
    let expected = [
        ("malformed", 1),
        ("host", 1),
        ("body-size", 1),
        ("target-too-long", 1),
        ("misdirected", 1),
        ("unknown-host", 1),
        ("head-too-large", 2),
        ("rate-limit", 2),
    ];
    refused(&proxy, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_of_bad_request_is_counted_over_http2() {
    let (proxy, _app) = start("").await;
    let client = proxy.client();
    let mut sender = client.http2(proxy.https(), "localhost").await;
    let many = (0..150).fold(Request::get("https://localhost/"), |request, n| {
        request.header(format!("x-{n}"), "y")
    });
    let large = Full::new(Bytes::from_static(b"four"));
    for (request, status) in [
        (many.body(Full::default()), 431),
        (Request::post("https://localhost/upload").body(large), 413),
        (
            Request::get("https://a.localhost/").body(Full::default()),
            421,
        ),
        (
            Request::get("https://example.org/").body(Full::default()),
            421,
        ),
    ] {
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(read(answer).await.status, status);
    }
    for status in [200, 429] {
        let answer = client.get2(proxy.https(), "a.localhost", "/").await;
        assert_eq!(answer.status, status);
    }
    let expected = [
        ("too-many-fields", 1),
        ("body-size", 1),
        ("misdirected", 1),
        ("unknown-host", 1),
        ("rate-limit", 1),
    ];
    refused(&proxy, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_http2_are_counted() {
    let (proxy, _app) = start("").await;
    let client = proxy.client().alpn("h2");
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    // DATA on a stream that was never opened.
    let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(settings).await.unwrap();
    stream.write_all(b"\0\0\x01\0\0\0\0\0\x01x").await.unwrap();
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    refused(&proxy, &[("http2-protocol", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_http2_is_reset_and_the_connection_goes_on() {
    let (proxy, _app) = start("").await;
    let client = proxy.client().alpn("h2");
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // GET https://localhost/ with `connection: close`, which HTTP/2 forbids, and then without it.
    let broken = b"\x82\x87\x84\x41\x09localhost\0\x0aconnection\x05close";
    let sound = b"\x82\x87\x84\x41\x09localhost";
    stream.write_all(hello).await.unwrap();
    for (id, head) in [(1, &broken[..]), (3, &sound[..])] {
        let len = u8::try_from(head.len()).unwrap();
        let request = [&[0, 0, len, 1, 5, 0, 0, 0, id][..], head].concat();
        stream.write_all(&request).await.unwrap();
    }
    let (headers, rst_stream, protocol_error) = (1, 3, [0, 0, 0, 1]);
    let mut is_reset = false;
    loop {
        let mut head = [0; 9];
        soon(stream.read_exact(&mut head)).await.unwrap();
        let [_, high, low, kind, _, _, _, _, id] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        soon(stream.read_exact(&mut payload)).await.unwrap();
        is_reset |= (kind, id) == (rst_stream, 1) && payload == protocol_error;
        if (kind, id) == (headers, 3) {
            break;
        }
    }
    assert!(is_reset);
    refused(&proxy, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_heads_and_http2_after_http1_alpn_are_counted() {
    let (proxy, _app) = start("").await;
    let client = proxy.client().alpn("http/1.1");
    for head in ["GET / HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    refused(&proxy, &[("head-cut", 1), ("http2-protocol", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_break_off_are_counted() {
    let origin = Origin::start(async |mut connection| {
        connection.read_request().await;
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello";
        connection.raw.send(cut).await;
    });
    let origin = origin.await;
    let text = format!("[sites]\n\"localhost\" = \"{}\"\n", origin.address);
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    // The part of the answer that has arrived may be lost with it.
    status1(&proxy, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut sender = proxy.client().http2(proxy.https(), "localhost").await;
    let request = Request::get("https://localhost/").body(Full::default());
    if let Ok(answer) = sender.send_request(request.unwrap()).await {
        answer.into_body().collect().await.unwrap_err();
    }
    refused(&proxy, &[("response-broken", 2)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_plain_http_are_counted() {
    let (proxy, _app) = start("header-timeout = \"200ms\"").await;
    let challenge = "/.well-known/acme-challenge/x HTTP/1.1\r\nhost: example.org\r\n";
    for request in [
        format!("GET / HTTP/1.1\r\nhost: example.org\r\n{CLOSE}\r\n"),
        format!("GET / HTTP/1.1\r\n{CLOSE}\r\n"),
        format!("GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n{CLOSE}\r\n"),
        format!("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n{CLOSE}\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("GET {challenge}{CLOSE}\r\n"),
        format!("GET * HTTP/1.1\r\nhost: localhost\r\n{CLOSE}\r\n"),
        "nonsense\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000)),
        "GET / HTTP/1.1\r\nhost: ".to_owned(),
    ] {
        ask(proxy.http(), request).await;
    }
    let mut leaving = RawStream::connect(proxy.http()).await;
    leaving.send("GET / HT").await;
    leaving.finish().await;
    leaving.read_to_end().await;
    let expected = [
        ("unknown-host", 1),
        ("host", 2),
        ("connect", 1),
        ("http2-protocol", 1),
        ("head-cut", 1),
        ("unknown-challenge", 1),
        ("target", 1),
        ("malformed", 1),
        ("head-too-large", 1),
        ("head-timeout", 1),
    ];
    refused(&proxy, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_handshakes_are_counted() {
    let (proxy, _app) = start("handshake-timeout = \"300ms\"").await;
    let client = proxy.client();
    ask(proxy.https(), "").await;
    ask(proxy.https(), [22, 3, 1, 2, 0, 1]).await;
    ask(proxy.https(), "GET / HTTP/1.1\r\n\r\n").await;
    ask(proxy.https(), "no TLS at all").await;
    let mut leaving = RawStream::connect(proxy.https()).await;
    leaving.finish().await;
    leaving.read_to_end().await;
    let stranger = Client::new(&TestCa::root("stranger").pem());
    for (client, name) in [
        (&stranger, "localhost"),
        (&client, "example.org"),
        (&client.without_sni(), "localhost"),
    ] {
        assert!(client.connect(proxy.https(), name).await.is_err());
    }
    let expected = [
        ("handshake-timeout", 2),
        ("plain-http", 1),
        ("handshake-broken", 1),
        ("handshake-left", 1),
        ("handshake-alert", 1),
        ("no-certificate", 1),
        ("no-name", 1),
    ];
    refused(&proxy, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_without_a_required_certificate_are_counted() {
    let setup = ProxySetup::new();
    setup.file("clients.pem", &TestCa::root("clients").pem());
    let text = "[sites]\n\"localhost\" = { upstream = \"localhost:1\", client-auth = { ca = \"clients.pem\" } }\n";
    let proxy = setup.proxyfile(text).start().await;
    let connected = proxy.client().connect(proxy.https(), "localhost").await;
    // In TLS 1.3 the client sees the alert when it reads.
    let refusal = soon(connected.unwrap().read_to_end(&mut Vec::new())).await;
    assert!(refusal.is_err());
    refused(&proxy, &[("client-certificate", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_time_out_are_counted() {
    let limits = "header-timeout = \"200ms\"\nbody-timeout = \"300ms\"";
    let (proxy, _app) = start(limits).await;
    let client = proxy.client().alpn("http/1.1");
    let mut slow = client.connect(proxy.https(), "localhost").await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let _ = soon(slow.read_to_end(&mut Vec::new())).await;
    refused(&proxy, &[("head-timeout", 1)]).await;

    let mut stalled = client.connect(proxy.https(), "localhost").await.unwrap();
    let request = b"GET /download?200000000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stalled.write_all(request).await.unwrap();
    refused(&proxy, &[("head-timeout", 1), ("stalled", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_too_many_connections_is_counted_on_both_listeners() {
    let (proxy, _app) = start("connections-per-client = 2").await;
    let mut held = [
        RawStream::connect(proxy.http()).await,
        RawStream::connect(proxy.http()).await,
    ];
    for kept in &mut held {
        kept.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        kept.read_head().await.unwrap();
    }
    assert_eq!(ask(proxy.http(), "GET").await, "");
    assert_eq!(ask(proxy.https(), "GET").await, "");
    refused(&proxy, &[("connections-per-client", 2)]).await;
}

/// A proxy whose HTTPS listener accepts PROXY headers from these peers only.
async fn announced_by(trust: &str) -> Proxy {
    let setup = ProxySetup::new();
    let (http, https) = (setup.http(), setup.https());
    let text = format!(
        "trust = [\"{trust}\"]\n[limits]\nhandshake-timeout = \"200ms\"\n[listen]\nhttp = \"{http}\"\n\
         https = {{ address = \"{https}\", proxy-protocol = \"required\" }}\n\
         [sites]\n\"localhost\" = \"localhost:1\"\n"
    );
    setup.proxyfile(&text).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_and_forbidden_proxy_headers_are_counted() {
    let proxy = announced_by("127.0.0.1").await;
    ask(proxy.https(), "GET / HTTP/1.1\r\n\r\n").await;
    ask(proxy.https(), "PROXY nonsense\r\n").await;
    ask(proxy.https(), "PROXY TCP4").await;
    let mut cut = TcpStream::connect(proxy.https()).await.unwrap();
    cut.write_all(b"PROXY TCP4").await.unwrap();
    cut.shutdown().await.unwrap();
    let _ = soon(cut.read_to_end(&mut Vec::new())).await;
    let expected = [
        ("proxy-header-missing", 1),
        ("proxy-header-malformed", 1),
        ("proxy-header-timeout", 1),
        ("proxy-header-cut", 1),
    ];
    refused(&proxy, &expected).await;

    let proxy = announced_by("192.0.2.1").await;
    ask(proxy.https(), "PROXY TCP4 192.0.2.1 192.0.2.1 1 1\r\n").await;
    refused(&proxy, &[("untrusted-peer", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_requests_and_closed_idle_connections_are_not_counted() {
    let (proxy, _app) = start("idle-timeout = \"200ms\"").await;
    let client = proxy.client();
    for path in ["/", "/download?100000"] {
        let over1 = client.get(proxy.https(), "localhost", path).await;
        let over2 = client.get2(proxy.https(), "localhost", path).await;
        assert!(over1.status == 200 && over2.status == 200, "{path}");
    }
    let mut idle = RawStream::connect(proxy.http()).await;
    idle.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(idle.read_to_end().await.starts_with("HTTP/1.1 308 "));
    refused(&proxy, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_survive_a_reload() {
    let (mut proxy, app) = start("").await;
    let unknown = "GET / HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n";
    ask(proxy.http(), unknown).await;
    status1(&proxy, unknown).await;
    refused(&proxy, &[("unknown-host", 2)]).await;
    let said = proxy.reload(&sites(&app, "header-timeout = \"9s\"")).await;
    assert!(said.contains("configuration reloaded"), "{said}");
    refused(&proxy, &[("unknown-host", 2)]).await;
    ask(proxy.http(), unknown).await;
    status1(&proxy, unknown).await;
    refused(&proxy, &[("unknown-host", 4)]).await;
}
