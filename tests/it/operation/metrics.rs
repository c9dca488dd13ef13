//! Metrics as Prometheus scrapes them.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::ports::outward_address;
use crate::harness::proxy::{Proxy, ProxySetup, command};
use crate::harness::skip::skip;

const LOCAL: [&str; 6] = [
    "--upstream",
    "localhost:1",
    "--domain",
    "localhost",
    "--metrics",
    "127.0.0.1:0",
];

/// Address of the metrics of a proxy that was given port 0.
pub(super) async fn address(proxy: &mut Proxy) -> SocketAddr {
    let line = proxy.logged("serving metrics").await;
    let (_, address) = line.split_once("address=").unwrap();
    address.trim().parse().unwrap()
}

/// The page for Prometheus, with its head.
pub(super) async fn metrics(address: SocketAddr) -> String {
    let accept = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.3";
    let request = format!("GET /metrics HTTP/1.1\r\nhost: metrics\r\n{accept}\r\n\r\n");
    ask(address, request).await
}

/// The page for clients that say nothing about formats.
pub(super) async fn plain_metrics(address: SocketAddr) -> String {
    let answer = ask(address, "GET /metrics HTTP/1.1\r\nhost: metrics\r\n\r\n").await;
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(header(head, "content-type"), Some(kind), "{head}");
    page.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_cannot_take_all_connections_to_the_metrics() {
    let Some(outward) = outward_address() else {
        return skip("this machine has no address but loopback ones");
    };
    let args = ["--upstream", "localhost:1", "--domain", "localhost"];
    let setup = ProxySetup::new()
        .args(args)
        .args(["--metrics", "0.0.0.0:0"]);
    let mut proxy = setup.start().await;
    let port = address(&mut proxy).await.port();
    let outward = SocketAddr::from((outward, port));
    // A connection without a request ends after five seconds, so a slow machine may need another try.
    let answer = soon(async {
        loop {
            let mut idle = Vec::new();
            for _ in 0..4 {
                idle.push(RawStream::connect(outward).await);
            }
            let answer = metrics(outward).await;
            let others = metrics(([127, 0, 0, 1], port).into()).await;
            assert!(others.starts_with("HTTP/1.1 200 "), "{others}");
            if answer.starts_with("HTTP/1.1 503 ") {
                break answer;
            }
        }
    })
    .await;
    assert!(
        answer.contains("as many connections to the metrics"),
        "{answer}"
    );
    soon(async { while !metrics(outward).await.starts_with("HTTP/1.1 200 ") {} }).await;
}

const UNKNOWN: &str = "GET / HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_connections_and_expiry_of_certificates_are_exported() {
    let mut proxy = ProxySetup::new().args(LOCAL).start().await;
    let address = address(&mut proxy).await;
    ask(proxy.http(), UNKNOWN).await;
    let connected = proxy.client().connect(proxy.https(), "localhost").await;
    let page = metrics(address).await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(header(&page, "content-type"), Some(kind));
    for line in [
        "proxy_refusals_total{reason=\"unknown-host\"} 1\n",
        "proxy_refusals_total{reason=\"no-certificate\"} 0\n",
        "proxy_connections 1\n",
        "proxy_sites 1\n",
        "proxy_certificates 1\n",
        "# TYPE proxy_refusals counter\n",
        "proxy_names_without_certificate 0\n",
        "proxy_expired_certificates 0\n",
        "proxy_certificate_not_after_timestamp_seconds{name=\"localhost\"} ",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert!(page.ends_with("# EOF\n"), "{page}");
    let (_, start) = page.split_once("\nproxy_start_time_seconds ").unwrap();
    let start = start.lines().next().unwrap().parse().unwrap();
    let age = UNIX_EPOCH.elapsed().unwrap() - Duration::from_secs(start);
    assert!(age < Duration::from_secs(600), "{age:?}");
    drop(connected);
    soon(async { while !metrics(address).await.contains("proxy_connections 0\n") {} }).await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let mut proxy = ProxySetup::new().args(LOCAL).start().await;
    let address = address(&mut proxy).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400"),
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200"),
    ] {
        let answer = ask(address, request).await;
        assert!(answer.starts_with(status), "{request}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_the_counts_and_refuses_another_address() {
    let text = |metrics: &str, site: &str| {
        format!("metrics = \"{metrics}\"\n[sites]\n\"{site}\" = \"localhost:1\"\n")
    };
    let setup = ProxySetup::new().proxyfile(&text("127.0.0.1:0", "localhost"));
    let mut proxy = setup.start().await;
    let address = address(&mut proxy).await;
    ask(proxy.http(), UNKNOWN).await;
    let said = proxy.reload(&text("127.0.0.1:0", "a.localhost")).await;
    assert!(said.contains("configuration reloaded"), "{said}");
    let count = "proxy_refusals_total{reason=\"unknown-host\"} 1\n";
    assert!(metrics(address).await.contains(count));
    let said = proxy.reload(&text("127.0.0.1:9", "localhost")).await;
    let refusal = "Proxyfile:1:11: `metrics` cannot change while the proxy runs; restart the proxy";
    assert!(said.contains(refusal), "{said}");
    assert!(metrics(address).await.contains(count));
}

#[tokio::test]
async fn a_busy_address_ends_the_start_with_the_fix() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = ProxySetup::new();
    let storage = format!("file:{}", setup.data().display());
    let mut proxy = command();
    proxy.args(&LOCAL[..4]).args(["--storage", &storage]);
    proxy.args(["--metrics", &address]);
    let any = "127.0.0.1:0";
    proxy.args(["--listen-http", any, "--listen-https", any]);
    let output = proxy.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let said = format!("metrics cannot be served on {address}: ");
    assert!(
        error.contains(&said) && error.contains("give another address with --metrics ADDR"),
        "{error}"
    );
}
