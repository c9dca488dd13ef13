//! Backends behind DNS names whose addresses change.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::ResponseCode;
use proxy::dns_client::NameServer as Server;
use proxy::upstream::{Backend, BalanceOptions, HealthOptions, Resolver};

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{RawStream, ask};
use crate::harness::deadline::soon;
use crate::harness::dns::server::DnsServer;
use crate::harness::proxy::ProxySetup;
use crate::harness::service::{Service, ServiceSetup};
use crate::harness::skip::skip;

const NAME: &str = "app.example.test";
const GET: &str = "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 9, last)
}

/// Apps on the same port of several addresses; each answers with its number.
async fn apps(numbers: &[u8]) -> (u16, Vec<Origin>) {
    let port = crate::harness::ports::Reservation::new().address().port();
    let mut origins = Vec::new();
    for number in numbers {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\napp-{number}");
        let address = SocketAddr::from((ip(*number), port));
        origins.push(Origin::answering_on(address, answer).await);
    }
    (port, origins)
}

async fn serve(port: u16, dns: &DnsServer) -> Service {
    balanced(port, dns, BalanceOptions::default()).await
}

async fn balanced(port: u16, dns: &DnsServer, balancing: BalanceOptions) -> Service {
    let resolver = Resolver::new(vec![Server::At(dns.address())]);
    let address = format!("{NAME}:{port}");
    let mut setup = ServiceSetup::new();
    *setup.upstream.balancing = balancing;
    setup.upstream(&[&address], Some(resolver)).start().await
}

/// Waits for the backend at one of the name's addresses.
async fn backend_at(service: &Service, last: u8) -> Backend {
    let address = format!(" at {}", ip(last));
    let find = || {
        let mut backends = service.upstreams[0].backends().into_iter();
        backends.find(|backend| backend.address().to_string().ends_with(&address))
    };
    soon(async {
        loop {
            match find() {
                Some(backend) => return backend,
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

async fn answered_by(client: &mut RawStream) -> String {
    client.send(GET).await;
    client.read_head().await.unwrap();
    String::from_utf8(client.read_exact(5).await).unwrap()
}

#[tokio::test]
async fn a_single_clients_requests_are_spread_over_all_addresses_of_a_name() {
    let dns = DnsServer::start();
    dns.a(NAME, ip(1)).a(NAME, ip(2)).a(NAME, ip(3));
    let (port, origins) = apps(&[1, 2, 3]).await;
    let service = serve(port, &dns).await;
    let mut client = RawStream::connect(service.h1).await;
    let mut shares: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..300 {
        *shares.entry(answered_by(&mut client).await).or_default() += 1;
    }
    assert_eq!(shares.len(), 3, "{shares:?}");
    assert!(shares.values().all(|share| *share > 60), "{shares:?}");
    let connections: usize = origins.iter().map(Origin::connections).sum();
    assert_eq!(
        connections, 3,
        "each address has one connection, which is reused"
    );
}

#[tokio::test]
async fn a_changed_address_is_used_after_the_ttl_although_connections_are_pooled() {
    let dns = DnsServer::start();
    dns.ttl(1).a(NAME, ip(1));
    let (port, _origins) = apps(&[1, 2]).await;
    let service = serve(port, &dns).await;
    let mut client = RawStream::connect(service.h1).await;
    assert_eq!(answered_by(&mut client).await, "app-1");

    dns.forget(NAME).a(NAME, ip(2));

    soon(async { while answered_by(&mut client).await != "app-2" {} }).await;
    for _ in 0..20 {
        assert_eq!(answered_by(&mut client).await, "app-2");
    }
}

#[tokio::test]
async fn an_address_without_an_app_fails_no_request() {
    let dns = DnsServer::start();
    dns.a(NAME, ip(1)).a(NAME, ip(2));
    let (port, _origins) = apps(&[2]).await;
    let service = serve(port, &dns).await;
    for _ in 0..20 {
        let answer = ask(service.h1, LAST).await;
        assert!(answer.ends_with("app-2"), "{answer}");
    }
}

#[tokio::test]
async fn the_last_addresses_are_kept_while_dns_is_down() {
    let dns = DnsServer::start();
    dns.ttl(0).a(NAME, ip(1));
    let (port, _origins) = apps(&[1]).await;
    let service = serve(port, &dns).await;
    assert!(ask(service.h1, LAST).await.ends_with("app-1"));

    dns.code(NAME, ResponseCode::ServFail);

    let start = tokio::time::Instant::now();
    while start.elapsed().as_millis() < 1_200 {
        let answer = ask(service.h1, LAST).await;
        assert!(answer.ends_with("app-1"), "{answer}");
    }
}

#[tokio::test]
async fn the_last_addresses_are_kept_while_a_name_vanishes_for_a_moment() {
    let dns = DnsServer::start();
    dns.ttl(0).a(NAME, ip(1));
    let (port, _origins) = apps(&[1, 2]).await;
    let service = serve(port, &dns).await;
    assert!(ask(service.h1, LAST).await.ends_with("app-1"));

    dns.forget(NAME);

    let start = tokio::time::Instant::now();
    while start.elapsed().as_millis() < 2_200 {
        let answer = ask(service.h1, LAST).await;
        assert!(answer.ends_with("app-1"), "{answer}");
    }
    dns.a(NAME, ip(2));
    soon(async { while !ask(service.h1, LAST).await.ends_with("app-2") {} }).await;
}

#[tokio::test]
async fn the_number_of_backends_of_a_name_is_limited() {
    let dns = DnsServer::start();
    for number in 0..70 {
        dns.a(NAME, ip(number));
    }
    let (port, _origins) = apps(&[0, 1]).await;
    let service = serve(port, &dns).await;
    backend_at(&service, 1).await;
    assert_eq!(service.upstreams[0].backends().len(), 64);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_502_until_it_does() {
    let dns = DnsServer::start();
    let (port, _origins) = apps(&[1]).await;
    let service = serve(port, &dns).await;
    let answer = ask(service.h1, LAST).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    dns.a(NAME, ip(1));
    soon(async { while !ask(service.h1, LAST).await.ends_with("app-1") {} }).await;
}

#[tokio::test]
async fn an_address_that_stays_keeps_its_health_and_its_connections_when_others_come_and_go() {
    let dns = DnsServer::start();
    dns.ttl(1).a(NAME, ip(1)).a(NAME, ip(2));
    let (port, origins) = apps(&[2, 3]).await;
    let balancing = BalanceOptions {
        max_fails: 1,
        ..BalanceOptions::default()
    };
    let service = balanced(port, &dns, balancing).await;
    let mut client = RawStream::connect(service.h1).await;
    let dead = backend_at(&service, 1).await;
    soon(async {
        while !dead.is_ejected() {
            assert_eq!(answered_by(&mut client).await, "app-2");
        }
    })
    .await;

    dns.forget(NAME)
        .a(NAME, ip(1))
        .a(NAME, ip(2))
        .a(NAME, ip(3));

    backend_at(&service, 3).await;
    assert!(backend_at(&service, 1).await.is_ejected());
    soon(async { while answered_by(&mut client).await != "app-2" {} }).await;
    assert_eq!(origins[0].connections(), 1);

    dns.forget(NAME).a(NAME, ip(3));
    soon(async {
        while service.upstreams[0].backends().len() != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    dns.a(NAME, ip(1));
    assert!(
        !backend_at(&service, 1).await.is_ejected(),
        "a removed backend starts with a new state"
    );
}

#[tokio::test]
async fn each_address_of_a_name_is_checked_under_the_name() {
    let dns = DnsServer::start();
    dns.a(NAME, ip(1)).a(NAME, ip(2));
    let (port, mut origins) = apps(&[1]).await;
    let balancing = BalanceOptions {
        health: Some(HealthOptions::new("/healthz".to_owned())),
        ..BalanceOptions::default()
    };
    let service = balanced(port, &dns, balancing).await;
    let (healthy, dead) = (backend_at(&service, 1).await, backend_at(&service, 2).await);
    soon(async {
        while !dead.is_down() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let head = soon(origins[0].event()).await.to_ascii_lowercase();
    assert!(head.contains(&format!("host: {NAME}:{port}\r\n")), "{head}");
    assert!(!healthy.is_down());
    assert!(ask(service.h1, LAST).await.ends_with("app-1"));
}

#[tokio::test]
async fn a_name_with_underscores_is_asked_of_the_resolvers() {
    let dns = DnsServer::start();
    dns.a("my_app.example.test", ip(1));
    let (port, _origins) = apps(&[1]).await;
    let resolver = Resolver::new(vec![Server::At(dns.address())]);
    let address = format!("my_app.example.test:{port}");
    let setup = ServiceSetup::new().upstream(&[&address], Some(resolver));
    let service = setup.start().await;
    let answer = ask(service.h1, LAST).await;
    assert!(answer.ends_with("app-1"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_proxy_follows_the_hosts_file() {
    if !may_replace_hosts_file().await {
        return skip("this machine allows no mount namespace");
    }
    // Given a proxy whose backend has its address from the hosts file.
    let (port, _apps) = apps(&[1, 2]).await;
    let setup = ProxySetup::new();
    let write = |path: &std::path::Path, number| {
        let hosts = format!("127.0.0.1 localhost\n{} {NAME}\n", ip(number));
        std::fs::write(path, hosts).unwrap();
    };
    let hosts = setup.file("hosts", "");
    write(&hosts, 1);
    let text = format!("[sites]\n\"localhost\" = \"{NAME}:{port}\"\n");
    let proxy = setup.proxyfile(&text).hosts_file(&hosts).start().await;
    let client = proxy.client();
    let app = async || client.get(proxy.https(), "localhost", "/").await.body;
    assert_eq!(app().await, "app-1");
    // When the file changes, then requests go to the new address without a reload.
    write(&hosts, 2);
    soon(async { while app().await != "app-2" {} }).await;
}

/// `true` if this machine lets a process have a hosts file of its own.
async fn may_replace_hosts_file() -> bool {
    let mut mount = tokio::process::Command::new("unshare");
    mount.args(["-rm", "mount", "--bind", "/etc/hosts", "/etc/hosts"]);
    mount.status().await.is_ok_and(|status| status.success())
}

/// A name of 253 characters.
fn long_name() -> String {
    let name = format!("{}.example.test", ["a".repeat(59).as_str(); 4].join("."));
    format!("{}{name}", "b".repeat(253 - name.len()))
}

#[tokio::test]
async fn a_dns_server_that_is_down_is_one_short_line_for_many_backends_with_their_number() {
    let setup = ProxySetup::new();
    let long = long_name();
    let backends = (0..20).map(|number| format!("app{number}.example.test:3000"));
    let sites = backends.enumerate().map(|(number, backend)| {
        format!("\"s{number}.example.org\" = {{ upstream = \"{backend}\", http = \"serve\" }}\n")
    });
    let sites: String = sites.collect();
    // Nothing listens on this port of UDP.
    let text = format!(
        "resolvers = [\"127.0.0.1:1\"]\n[sites]\n{sites}\"long.example.org\" = {{ upstream = \"{long}:3000\", http = \"serve\" }}\n"
    );

    let mut proxy = setup.proxyfile(&text).start().await;

    let lines = proxy
        .logged_for_names("backend name does not resolve", 21)
        .await;
    assert!(lines.len() <= 3, "{lines:#?}");
    assert!(lines.iter().all(|line| line.len() < 300), "{lines:#?}");
    proxy.stop().await;
}

#[tokio::test]
async fn a_name_without_an_address_is_told_once_in_a_short_line() {
    let dns = DnsServer::start();
    let text = format!(
        "resolvers = [\"{}\"]\n[sites]\n\"www.example.org\" = {{ upstream = \"{NAME}:3000\", http = \"serve\" }}\n",
        dns.address()
    );
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;

    let answer = ask(proxy.http(), LAST).await;

    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    let line = proxy.logged("www.example.org: ").await;
    assert!(
        line.contains(&format!("{NAME}:3000 did not resolve")),
        "{line}"
    );
    assert!(!line.contains("Query"), "{line}");
    assert!(!line.contains('…'), "{line}");
    assert!(line.len() < 300, "{}: {line}", line.len());
}

#[tokio::test]
async fn a_backend_name_of_253_characters_leaves_each_line_of_the_log_short() {
    let long = long_name();
    let text = format!(
        "resolvers = [\"127.0.0.1:1\"]\n[sites]\n\"www.example.org\" = {{ upstream = \"{long}:3000\", http = \"serve\" }}\n"
    );
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;

    let answer = ask(proxy.http(), LAST).await;

    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    for part in ["backend name does not resolve", "www.example.org: "] {
        let line = proxy.logged(part).await;
        assert!(line.len() < 300, "{}: {line}", line.len());
        assert!(
            line.contains("baaaaaaa") && line.contains("example.test"),
            "{line}"
        );
    }
}
