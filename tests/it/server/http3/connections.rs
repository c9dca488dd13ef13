//! HTTP/3 connections: how clients learn of them, how they move, and how they end.

use std::net::UdpSocket;

use h3::error::Code;
use http::{Request, StatusCode};
use http_body_util::Full;

use super::requests::start;
use crate::harness::admin::status;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::http3::Http3;
use crate::harness::clients::raw::header;
use crate::harness::clients::udp_relay::{Faults, UdpRelay};
use crate::harness::deadline::soon;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::{Proxy, ProxySetup};

/// Returns the Alt-Svc field of a response over HTTP/1.1 and HTTP/2.
async fn alt_svc(proxy: &Proxy) -> Option<String> {
    let client = proxy.client();
    let request = |uri: &str| {
        let request = Request::get(uri).header("host", "localhost");
        request.body(Full::default()).unwrap()
    };
    let mut http1 = client.http1(proxy.https(), "localhost").await;
    let over_http1 = http1.send_request(request("/")).await.unwrap();
    let mut http2 = client.http2(proxy.https(), "localhost").await;
    let over_http2 = http2
        .send_request(request("https://localhost/"))
        .await
        .unwrap();
    let field = |fields: &http::HeaderMap| {
        let field = fields.get("alt-svc")?;
        Some(field.to_str().unwrap().to_owned())
    };
    let found = field(over_http1.headers());
    assert_eq!(field(over_http2.headers()), found);
    found
}

fn proxyfile(app: &App, http3: &str) -> String {
    format!(
        "http3 = {http3}\n[sites]\n\"localhost\" = \"{}\"\n",
        app.address
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_learn_of_http3_until_a_reload_switches_it_off() {
    // Given a proxy with HTTP/3 and a client that uses it.
    let app = App::start().await;
    let mut proxy = ProxySetup::new()
        .proxyfile(&proxyfile(&app, "true"))
        .start()
        .await;
    let port = proxy.https().port();
    assert_eq!(
        alt_svc(&proxy).await,
        Some(format!("h3=\":{port}\"; ma=86400"))
    );
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    assert_eq!(http3.get("/").await.status, StatusCode::OK);
    // When clients reach it at another port.
    proxy.reload(&proxyfile(&app, "{ port = 4443 }")).await;
    assert_eq!(alt_svc(&proxy).await.unwrap(), "h3=\":4443\"; ma=86400");
    // When it is switched off.
    proxy.reload(&proxyfile(&app, "false")).await;
    // Then clients are told, and the connection that is open goes on.
    assert_eq!(alt_svc(&proxy).await.unwrap(), "clear");
    assert_eq!(http3.get("/").await.status, StatusCode::OK);
    assert!(
        !status(&proxy).await["listeners"]
            .to_string()
            .contains("http3")
    );
    drop(http3);
    // And it can be switched on again, once the last connection is over.
    proxy.logged("HTTP/3 switched off").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_whose_udp_port_is_taken_serves_https_without_http3() {
    let app = App::start().await;
    let ports = ProxyPorts::reserve();
    let taken = UdpSocket::bind(ports.https()).unwrap();
    let setup = ProxySetup::on(ports).proxyfile(&proxyfile(&app, "true"));
    let mut proxy = setup.start().await;
    proxy
        .logged("HTTP/3 is off, because the UDP port cannot be bound")
        .await;
    assert_eq!(alt_svc(&proxy).await, None);
    drop(taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_to_another_port_keeps_its_connection() {
    let app = App::start().await;
    let proxy = start(&app.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    assert_eq!(http3.get("/").await.status, StatusCode::OK);
    // The kernel may hand the packets of a new port to another worker.
    for _ in 0..8 {
        let moved = UdpSocket::bind("127.0.0.1:0").unwrap();
        http3.endpoint.rebind(moved).unwrap();
        let answer = http3.get("/download?200000").await;
        assert_eq!(answer.body.len(), 200_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_running_requests_finish_and_closes_idle_connections() {
    // Given a running request on one connection, and none on another one.
    let app = App::start().await;
    let mut proxy = start(&app.address.to_string(), "").await;
    let mut busy = Http3::connect(&proxy, "localhost").await;
    let mut idle = Http3::connect(&proxy, "localhost").await;
    assert_eq!(idle.get("/").await.status, StatusCode::OK);
    let request = busy.request("GET", "/gate");
    let mut exchange = busy.begin(request).await;
    exchange.finish().await;
    app.gate_reached().await;
    // When the proxy stops.
    proxy.signal(rustix::process::Signal::TERM);
    assert_eq!(idle.closed().await, Code::H3_NO_ERROR);
    app.open_gate();
    // Then the request is answered, and its connection closes.
    let answer = exchange.answer().await.unwrap();
    assert_eq!(answer.body, "through the gate");
    assert_eq!(busy.closed().await, Code::H3_NO_ERROR);
    assert!(proxy.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_counted_as_those_of_http3() {
    let app = App::start().await;
    let proxy = start(&app.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    http3.get("/").await;
    let status = status(&proxy).await.to_string();
    assert!(status.contains("https-http3"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_certificates_are_verified_as_over_tcp() {
    let ca = TestCa::root("clients");
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("clients.pem", &ca.pem());
    let text = format!(
        "http3 = true\n[sites]\n\
         \"strict.localhost\" = {{ upstream = \"{0}\", client-auth = {{ ca = \"clients.pem\" }} }}\n\
         \"open.localhost\" = \"{0}\"\n",
        app.address
    );
    let proxy = setup.proxyfile(&text).start().await;
    let (certificate, key) = ca.client("alice");
    let alice = proxy.client().identified(&certificate, &key);
    for name in ["strict.localhost", "open.localhost"] {
        drop(alice.connect(proxy.https(), name).await);
    }
    let mut http3 = Http3::open(&alice, proxy.https(), "strict.localhost")
        .await
        .ok()
        .unwrap();
    let seen = http3.get("/fields").await.body;
    let seen = String::from_utf8(seen.to_vec()).unwrap();
    assert_eq!(header(&seen, "x-client-cert-subject"), Some("CN=alice"));
    // A client without a certificate gets in nowhere but at the other site.
    let nobody = proxy.client();
    let refused = match Http3::open(&nobody, proxy.https(), "strict.localhost").await {
        Ok(http3) => {
            // The client may learn of it only after its own side of the handshake.
            http3.quic.closed().await;
            true
        }
        Err(_) => true,
    };
    assert!(refused);
    let mut http3 = Http3::open(&nobody, proxy.https(), "open.localhost")
        .await
        .ok()
        .unwrap();
    assert_eq!(http3.get("/").await.status, StatusCode::OK);
    let request = Request::builder().uri("https://strict.localhost/");
    let mut exchange = http3.begin(request).await;
    exchange.finish().await;
    let answer = exchange.answer().await.unwrap();
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_keeps_open_connections_and_takes_new_ones() {
    // Given a client with a running request.
    let app = App::start().await;
    let mut proxy = start(&app.address.to_string(), "").await;
    let mut old = Http3::connect(&proxy, "localhost").await;
    let request = old.request("GET", "/gate");
    let mut exchange = old.begin(request).await;
    exchange.finish().await;
    app.gate_reached().await;
    // When another process takes over.
    proxy.upgrade().await;
    // Then new clients come to it, at whichever socket they arrive.
    for _ in 0..8 {
        let mut new = Http3::connect(&proxy, "localhost").await;
        assert_eq!(new.get("/download?100000").await.body.len(), 100_000);
    }
    // And the request of the old one is answered by the process that has it.
    app.open_gate();
    let answer = exchange.answer().await.unwrap();
    assert_eq!(answer.body, "through the gate");
    assert_eq!(old.closed().await, Code::H3_NO_ERROR);
    assert!(proxy.first_ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_a_killed_process_hears_at_once_that_its_connection_is_gone() {
    let app = App::start().await;
    let proxy = start(&app.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    assert_eq!(http3.get("/").await.status, StatusCode::OK);
    // When the process is killed and started again.
    let _proxy = proxy.kill().await.start().await;
    // Then the next request gets a stateless reset.
    let request = http3.request("GET", "/");
    let _ = http3.try_begin(request).await;
    let ended = soon(http3.quic.closed()).await;
    assert_eq!(ended, quinn::ConnectionError::Reset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_over_a_bad_network_are_complete_and_right() {
    // Given a network that loses 5 % of all datagrams, and repeats and reorders others.
    let app = App::start().await;
    let proxy = start(&app.address.to_string(), "").await;
    drop(proxy.client().connect(proxy.https(), "localhost").await);
    let faults = Faults {
        lost: 5,
        repeated: 5,
        late: 5,
    };
    let relay = UdpRelay::start(proxy.https(), 7, faults).await;
    let http3 = Http3::open(&proxy.client(), relay.address, "localhost").await;
    let mut http3 = http3.unwrap_or_else(|error| panic!("{error}"));
    // When it downloads and uploads.
    let answer = http3.get("/download?1000000").await;
    assert_eq!(answer.body.len(), 1_000_000);
    assert!(answer.body.iter().all(|byte| *byte == b'x'));
    let request = http3.request("POST", "/upload");
    let mut exchange = http3.begin(request).await;
    for _ in 0..20 {
        exchange.send(vec![b'y'; 50_000]).await.unwrap();
    }
    exchange.finish().await;
    assert_eq!(exchange.answer().await.unwrap().body, "1000000");
}
