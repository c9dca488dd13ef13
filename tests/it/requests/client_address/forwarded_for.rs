//! The client's address behind other proxies, and with forged header fields.

use crate::harness::backends::web_app::App;
use crate::harness::clients::front_proxy::FrontProxy;
use crate::harness::clients::raw::{ask, header};
use crate::harness::proxy::{Proxy, ProxySetup};

const CLAIMS: [(&str, &str); 7] = [
    ("x-forwarded-for", "198.51.100.9, 203.0.113.5"),
    ("x_forwarded_for", "198.51.100.9"),
    ("x-forwarded-proto", "http"),
    ("X-Forwarded-Host", "shop.example.org"),
    ("x-real-ip", "198.51.100.9"),
    ("forwarded", "for=198.51.100.9"),
    ("x-client-cert-verified", "true"),
];

/// A proxy in front of the app, with these lines at the top of its Proxyfile.
async fn start(top: &str) -> (Proxy, App) {
    let app = App::start().await;
    let text = format!("{top}\n[sites]\n\"localhost\" = \"{}\"\n", app.address);
    (ProxySetup::new().proxyfile(&text).start().await, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_choose_its_own_address() {
    let (proxy, _app) = start("trust = [\"10.0.0.0/8\", \"cloudflare\"]").await;
    let seen = proxy
        .client()
        .fields(proxy.https(), "localhost", &CLAIMS)
        .await;
    assert_eq!(header(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("https"));
    assert_eq!(header(&seen, "x-forwarded-host"), Some("localhost"));
    assert!(
        !seen.contains("198.51.100.9") && !seen.contains("cert"),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_peer_forwards_its_clients_address_and_the_rest_is_dropped() {
    let (proxy, _app) = start("trust = [\"127.0.0.1\"]\nforwarded = true").await;
    let seen = proxy
        .client()
        .fields(proxy.https(), "localhost", &CLAIMS)
        .await;
    assert_eq!(
        header(&seen, "x-forwarded-for"),
        Some("203.0.113.5, 127.0.0.1")
    );
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("http"));
    assert_eq!(header(&seen, "x-forwarded-host"), Some("shop.example.org"));
    assert_eq!(
        header(&seen, "forwarded"),
        Some("for=203.0.113.5;host=shop.example.org;proto=http, for=127.0.0.1")
    );
    assert!(
        !seen.contains("198.51.100.9") && !seen.contains("cert"),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_its_address_field_is_used_and_its_clients_claim_is_not() {
    let (proxy, _app) = start("trust = [\"127.0.0.1\"]").await;
    let directives = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
                      proxy_set_header X-Forwarded-Proto $scheme;";
    let front = FrontProxy::nginx(proxy.https(), "localhost", directives).await;
    let request = "GET /fields HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.9, 203.0.113.5\r\nConnection: close\r\n\r\n";
    let seen = ask(front.address, request).await;
    // The client of nginx is on this machine and trusted too, so that its own field counts one step further.
    assert_eq!(
        header(&seen, "x-forwarded-for"),
        Some("203.0.113.5, 127.0.0.1, 127.0.0.1"),
        "{seen}"
    );
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("http"));
    assert!(!seen.contains("198.51.100.9"), "{seen}");
}
