//! The PROXY protocol: received from HAProxy, sent to backends.

use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::clients::front_proxy::FrontProxy;
use crate::harness::clients::https::read;
use crate::harness::clients::raw::{ask, header};
use crate::harness::proxy::{Proxy, ProxySetup};

/// A proxy in front of the app; both listeners accept PROXY headers in this mode, from trusted peers.
async fn start(trust: &str, mode: &str) -> (Proxy, App) {
    let app = App::start().await;
    let setup = ProxySetup::new();
    let (http, https) = (setup.http(), setup.https());
    let text = format!(
        "trust = [\"{trust}\"]\n[listen]\n\
         http = {{ address = \"{http}\", proxy-protocol = \"{mode}\" }}\n\
         https = {{ address = \"{https}\", proxy-protocol = \"{mode}\" }}\n\
         [sites]\n\"localhost\" = \"{}\"\n",
        app.address
    );
    (setup.proxyfile(&text).start().await, app)
}

const REDIRECTED: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_from_haproxy_are_read_in_both_versions() {
    let (proxy, _app) = start("127.0.0.1", "required").await;
    for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"] {
        let front = FrontProxy::haproxy(proxy.https(), option).await;
        let client = proxy.client();
        let seen = client.fields(front.address, "localhost", &[]).await;
        assert_eq!(
            header(&seen, "x-forwarded-for"),
            Some("127.0.0.1"),
            "{option}: {seen}"
        );
        let plain = FrontProxy::haproxy(proxy.http(), option).await;
        let answer = ask(plain.address, REDIRECTED).await;
        assert!(answer.starts_with("HTTP/1.1 308 "), "{option}: {answer}");
    }
}

/// Returns what the app receives of a request with these fields, on a connection that begins with `announcement`.
async fn announced(proxy: &Proxy, announcement: &[u8], fields: &str) -> Option<String> {
    let mut stream = TcpStream::connect(proxy.https()).await.unwrap();
    stream.write_all(announcement).await.unwrap();
    let client = proxy.client().alpn("http/1.1");
    let mut stream = client.over(stream, "localhost").await.ok()?;
    let request =
        format!("GET /fields HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut seen = String::new();
    let _ = stream.read_to_string(&mut seen).await;
    Some(seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_announced_address_is_the_clients_and_forged_fields_are_dropped() {
    let (proxy, _app) = start("127.0.0.1", "optional").await;
    let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n".as_slice();
    let unknown = b"PROXY UNKNOWN\r\n".as_slice();
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".as_slice();
    for (announcement, address) in [
        (v1, "192.0.2.7"),
        (unknown, "127.0.0.1"),
        (local, "203.0.113.5, 127.0.0.1"),
        (b"", "203.0.113.5, 127.0.0.1"),
    ] {
        let claim = "X-Forwarded-For: 203.0.113.5\r\n";
        let seen = announced(&proxy, announcement, claim).await.unwrap();
        assert_eq!(header(&seen, "x-forwarded-for"), Some(address), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_required_headers_and_malformed_ones_are_refused() {
    let (proxy, _app) = start("127.0.0.1", "required").await;
    assert_eq!(announced(&proxy, b"", "").await, None);
    assert_eq!(
        announced(&proxy, b"PROXY TCP4 192.0.2.7\r\n", "").await,
        None
    );
    assert_eq!(ask(proxy.http(), REDIRECTED).await, "");
    assert_eq!(
        ask(
            proxy.http(),
            format!("PROXY UNKNOWN {}\r\n", "x".repeat(200))
        )
        .await,
        ""
    );
    let good = announced(&proxy, b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n", "").await;
    assert!(good.unwrap().contains("192.0.2.7"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_untrusted_peers_are_refused() {
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n";
    let (required, _app) = start("10.0.0.0/8", "required").await;
    assert_eq!(announced(&required, header, "").await, None);
    assert_eq!(announced(&required, b"", "").await, None);
    let (optional, _other) = start("10.0.0.0/8", "optional").await;
    assert_eq!(announced(&optional, header, "").await, None);
    let seen = announced(&optional, b"", "").await.unwrap();
    assert!(seen.contains("x-forwarded-for: 127.0.0.1"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_closed_at_the_handshake_deadline() {
    let setup = ProxySetup::new();
    let https = setup.https();
    let text = format!(
        "trust = [\"127.0.0.1\"]\n[listen]\n\
         https = {{ address = \"{https}\", proxy-protocol = \"required\" }}\n\
         [limits]\nhandshake-timeout = \"300ms\"\n[sites]\n\"localhost\" = \"localhost:1\"\n"
    );
    let proxy = setup.proxyfile(&text).start().await;
    assert_eq!(ask(proxy.https(), "PROXY TC").await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_gets_a_header_and_a_connection_for_each_client() {
    let mut origin = Origin::start(|mut connection| async move {
        let Some(line) = connection.raw.read_until("\r\n").await else {
            return;
        };
        connection.tell(line);
        while connection.raw.read_head().await.is_some() {
            connection
                .raw
                .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    })
    .await;
    let text = format!(
        "trust = [\"127.0.0.1\"]\n[sites]\n\"localhost\" = {{ upstream = \"{}\", upstream-options = {{ send-proxy = \"v1\" }} }}\n",
        origin.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client();
    let mut sender = client.http1(proxy.https(), "localhost").await;
    let port = proxy.https().port();
    for claimed in ["192.0.2.7", "192.0.2.8"] {
        let request = Request::get("/")
            .header("host", "localhost")
            .header("x-forwarded-for", claimed)
            .body(Full::default())
            .unwrap();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(read(response).await.body, "ok");
        let line = origin.event().await;
        assert_eq!(line, format!("PROXY TCP4 {claimed} 127.0.0.1 0 {port}\r\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_as_a_backend_reads_the_header() {
    let app = App::start().await;
    // Accepts the header, and passes its content on in header fields.
    let back = FrontProxy::haproxy_accepting(app.address).await;
    let text = format!(
        "[sites]\n\"localhost\" = {{ upstream = \"{}\", upstream-options = {{ send-proxy = \"v2\" }} }}\n",
        back.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let seen = proxy.client().fields(proxy.https(), "localhost", &[]).await;
    assert_eq!(header(&seen, "x-learned"), Some("127.0.0.1"), "{seen}");
    let reached = format!("{}", proxy.https().port());
    assert_eq!(header(&seen, "x-reached"), Some(reached.as_str()), "{seen}");
}
