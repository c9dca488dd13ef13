//! Both listeners accept IPv4 and IPv6, because CAs connect over either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use proxy::config::{Config, Flags};

use crate::harness::ca::scripted::{Script, ScriptedCa};
use crate::harness::clients::https::Client;
use crate::harness::clients::raw::ask;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::ProxySetup;
use crate::harness::skip::skip;

const NAME: &str = "www.example.org";

/// Addresses that the proxy listens on by default.
fn defaults() -> (SocketAddr, SocketAddr) {
    let text = "storage = \"file:/data\"\n[sites]\n\"www.example.org\" = \"localhost:1\"\n";
    let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default());
    let listen = config.unwrap().listen;
    (listen.http[0].address, listen.https[0].address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_address_is_open_to_both_families_and_a_challenge_is_answered_over_ipv6() {
    let (http, https) = defaults();
    assert_eq!((http.port(), https.port()), (80, 443));
    assert_eq!(http.ip(), https.ip());
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        skip("this machine has no IPv6");
        return;
    }
    let setup = ProxySetup::on(ProxyPorts::reserve_at(http.ip()));
    let ca = ScriptedCa::start(Script::new().over_ipv6(), setup.http().port()).await;
    let mut proxy = setup
        .args(["--upstream", "localhost:1", "--domain", NAME])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;

    proxy.logged("certificate obtained").await;

    let client = Client::new(&ca.issuing_root_pem());
    for ip in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ] {
        let at = |address: SocketAddr| SocketAddr::new(ip, address.port());
        client.serial(at(proxy.https()), NAME).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\r\n");
        let answer = ask(at(proxy.http()), request).await;
        assert!(answer.starts_with("HTTP/1.1 308 "), "{ip}: {answer}");
    }
}
