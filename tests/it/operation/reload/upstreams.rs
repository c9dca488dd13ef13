//! Connections to backends and counts of rate limits over a reload.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::fixtures::{send, versioned};
use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::deadline::soon;
use crate::harness::dns::server::DnsServer;
use crate::harness::ports::Reservation;
use crate::harness::proxy::ProxySetup;

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
