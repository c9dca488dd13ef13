//! Backends from SRV records: targets with ports, weights and priorities.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use http::Request;
use proxy::dns_client::NameServer as Server;
use proxy::name::HostName;
use proxy::upstream::{BalanceMethod, Resolver, ServerNameSource, TlsOptions};

use crate::harness::backends::grpc::{self, GrpcServer, path};
use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::origin::Origin;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::raw::{RawStream, ask};
use crate::harness::deadline::soon;
use crate::harness::dns::bind::Bind;
use crate::harness::dns::server::DnsServer;
use crate::harness::ports::Reservation;
use crate::harness::proxy::ProxySetup;
use crate::harness::service::{Service, ServiceSetup, empty};

const SERVICE: &str = "_http._tcp.app.example.test";
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const LAST: &str = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";

/// Starts an app that answers `name`; returns its port too.
async fn app(name: &'static str) -> (u16, Origin) {
    let address = Reservation::new().address();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{name}");
    (address.port(), Origin::answering_on(address, answer).await)
}

/// Starts a service that balances by round robin, so that shares are exact.
async fn serve(upstream: &str, dns: SocketAddr) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream.balancing.method = BalanceMethod::RoundRobin;
    let resolver = Resolver::new(vec![Server::At(dns)]);
    setup.upstream(&[upstream], Some(resolver)).start().await
}

async fn answered_by(service: &Service) -> String {
    let answer = ask(service.h1, LAST).await;
    answer[answer.len() - 3..].to_owned()
}

/// Sends `count` requests; returns the number that each app got.
async fn shares(service: &Service, count: u32) -> BTreeMap<String, u32> {
    let mut client = RawStream::connect(service.h1).await;
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        client
            .send("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
            .await;
        client.read_head().await.unwrap();
        let name = String::from_utf8(client.read_exact(3).await).unwrap();
        *shares.entry(name).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn targets_are_reached_at_their_ports_and_balanced_by_weight() {
    let dns = DnsServer::start();
    let ((one, _one), (two, _two), (none, _none)) =
        (app("one").await, app("two").await, app("nil").await);
    dns.a("a.example.test", HERE)
        .a("b.example.test", HERE)
        .srv(SERVICE, "a.example.test", [10, 60, one])
        .srv(SERVICE, "b.example.test", [10, 20, two])
        .srv(SERVICE, "b.example.test", [10, 0, none]);
    let service = serve(&format!("srv://{SERVICE}"), dns.address()).await;
    let shares = shares(&service, 810).await;
    for (name, expected) in [("one", 600), ("two", 200), ("nil", 10)] {
        let share = shares.get(name).copied().unwrap_or_default();
        assert!(share.abs_diff(expected) <= 2, "{shares:?}");
    }
}

#[tokio::test]
async fn the_addresses_of_a_target_share_its_weight() {
    let dns = DnsServer::start();
    let ((one, _one), (two, _two)) = (app("one").await, app("two").await);
    let second = Ipv4Addr::new(127, 0, 11, 2);
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none".to_owned();
    let _second = Origin::answering_on((second, one).into(), answer).await;
    dns.a("a.example.test", HERE)
        .a("a.example.test", second)
        .a("b.example.test", HERE)
        .srv(SERVICE, "a.example.test", [10, 3, one])
        .srv(SERVICE, "b.example.test", [10, 1, two]);
    let service = serve(&format!("srv://{SERVICE}"), dns.address()).await;
    let shares = shares(&service, 80).await;
    assert_eq!(
        shares.into_iter().collect::<Vec<_>>(),
        [("one".to_owned(), 60), ("two".to_owned(), 20)]
    );
}

#[tokio::test]
async fn the_next_priority_serves_while_the_first_has_no_address() {
    let dns = DnsServer::start();
    let ((main, _main), (spare, _spare)) = (app("one").await, app("two").await);
    dns.ttl(1)
        .a("spare.example.test", HERE)
        .srv(SERVICE, "spare.example.test", [20, 1, spare])
        .srv(SERVICE, "main.example.test", [10, 1, main]);
    let service = serve(&format!("srv://{SERVICE}"), dns.address()).await;
    for _ in 0..4 {
        assert_eq!(answered_by(&service).await, "two");
    }

    dns.a("main.example.test", HERE);

    soon(async { while answered_by(&service).await != "one" {} }).await;
    for _ in 0..4 {
        assert_eq!(answered_by(&service).await, "one");
    }
}

#[tokio::test]
async fn changed_targets_are_followed_after_their_ttl() {
    let dns = DnsServer::start();
    let ((one, _one), (two, _two)) = (app("one").await, app("two").await);
    dns.ttl(1)
        .a("a.example.test", HERE)
        .srv(SERVICE, "a.example.test", [1, 1, one]);
    let service = serve(&format!("srv://{SERVICE}"), dns.address()).await;
    assert_eq!(answered_by(&service).await, "one");

    dns.srv(SERVICE, "a.example.test", [1, 1, two]);
    soon(async { while shares(&service, 4).await.len() != 2 {} }).await;

    dns.forget(SERVICE)
        .srv(SERVICE, "a.example.test", [1, 1, two]);
    soon(async { while shares(&service, 4).await.contains_key("one") {} }).await;
}

#[tokio::test]
async fn a_missing_srv_record_is_a_502_until_it_exists() {
    let dns = DnsServer::start();
    let (one, _one) = app("one").await;
    dns.srv(SERVICE, ".", [0, 0, 0]).a("a.example.test", HERE);
    let service = serve(&format!("srv://{SERVICE}"), dns.address()).await;
    let answer = ask(service.h1, LAST).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    dns.forget(SERVICE)
        .srv(SERVICE, "a.example.test", [0, 0, one]);
    soon(async { while !ask(service.h1, LAST).await.ends_with("one") {} }).await;
}

#[tokio::test]
async fn srv_records_of_bind_are_followed() {
    let ((one, _one), (two, _two)) = (app("one").await, app("two").await);
    let records = format!(
        "_http._tcp.app IN SRV 10 1 {one} node\n_http._tcp.app IN SRV 10 3 {two} node\n\
         _http._tcp.app IN SRV 20 1 1 spare\nnode IN A 127.0.0.1\nspare IN A 127.0.0.2\n"
    );
    let bind = Bind::with(&records).await;
    let service = serve("srv://_http._tcp.app.example.org", bind.address()).await;
    let shares = shares(&service, 40).await;
    assert_eq!(
        shares.into_iter().collect::<Vec<_>>(),
        [("one".to_owned(), 10), ("two".to_owned(), 30)]
    );
}

#[tokio::test]
async fn srv_targets_may_speak_http_2() {
    let dns = DnsServer::start();
    let server = GrpcServer::start().await;
    dns.a("a.example.test", HERE).srv(
        "_grpc._tcp.example.test",
        "a.example.test",
        [1, 1, server.address.port()],
    );
    let service = serve("srv+h2c://_grpc._tcp.example.test", dns.address()).await;
    let mut client = grpc::connect(service.h2, "www.example.org", &service.tasks).await;
    client.ready().await.unwrap();
    let request = tonic::Request::new(bytes::Bytes::from_static(b"hello"));
    let answer = soon(client.unary(request, path("/echo"), grpc::Raw))
        .await
        .unwrap();
    assert_eq!(answer.into_inner(), "hello");
}

#[tokio::test]
async fn srv_targets_over_tls_are_verified_by_the_service_domain() {
    let dns = DnsServer::start();
    let nginx = Nginx::start(
        &TestCa::root("backends"),
        "location / { add_header x-sni $ssl_server_name; return 200 ok; }",
    )
    .await;
    let port = nginx.address.port();
    // The certificate is for `localhost` and `app.services.test`.
    let certified = "_http._tcp.app.services.test";
    for (name, target, sni, expected) in [
        (certified, "a.example.test", None, Some("app.services.test")),
        (SERVICE, "app.services.test", None, None),
        (
            SERVICE,
            "a.example.test",
            Some("localhost"),
            Some("localhost"),
        ),
    ] {
        dns.forget(name)
            .a(target, HERE)
            .srv(name, target, [1, 1, port]);
        let mut setup = ServiceSetup::new();
        setup.upstream.tls = TlsOptions {
            root: Some(nginx.root()),
            sni: sni.map(|name| ServerNameSource::Name(HostName::parse(name).unwrap())),
            ..TlsOptions::default()
        };
        let resolver = Resolver::new(vec![Server::At(dns.address())]);
        let upstream = format!("srv+https://{name}");
        let service = setup.upstream(&[&upstream], Some(resolver)).start().await;
        let request = Request::get("/").header("host", "www.example.org");
        let response = service.fetch1(request.body(empty()).unwrap()).await;
        let status = if expected.is_some() { 200 } else { 502 };
        assert_eq!(response.status(), status, "{name} at {target}");
        let sni = response.headers().get("x-sni");
        assert_eq!(sni.map(|sni| sni.to_str().unwrap()), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn srv_upstreams_are_set_by_the_proxyfile_and_too_many_targets_are_logged() {
    let dns = DnsServer::start();
    let (one, _one) = app("one").await;
    for number in 0..70 {
        dns.a("a.example.test", Ipv4Addr::new(127, 0, 10, number));
    }
    dns.a("b.example.test", HERE)
        .srv(SERVICE, "b.example.test", [1, 1, one]);
    let text = format!(
        "resolvers = [\"{}\"]\n[sites]\n\"localhost\" = \"srv://{SERVICE}\"\n\"many.localhost\" = \"a.example.test:1\"\n",
        dns.address()
    );
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
    assert_eq!(answer.body, "one");
    let line = proxy.logged("too many addresses").await;
    assert!(
        line.contains("a.example.test") && line.contains("used=64"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_keeps_its_targets_until_other_resolvers_have_answered() {
    let (before, after) = (DnsServer::start(), DnsServer::start());
    let (one, _one) = app("one").await;
    before
        .a("a.example.test", HERE)
        .srv(SERVICE, "a.example.test", [1, 1, one]);
    after.silent(SERVICE);
    let text = |dns: &DnsServer| {
        format!(
            "resolvers = [\"{}\"]\n[sites]\n\"localhost\" = \"srv://{SERVICE}\"\n",
            dns.address()
        )
    };
    let mut proxy = ProxySetup::new().proxyfile(&text(&before)).start().await;
    let client = proxy.client();
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "one"
    );

    let line = proxy.reload(&text(&after)).await;

    assert!(line.contains("configuration reloaded"), "{line}");
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "one"
    );
}
