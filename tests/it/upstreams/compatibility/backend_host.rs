//! The host that a backend sees: that of the client, that of its own address, or a name; and the name in the TLS
//! handshake.

use std::time::Duration;

use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proxy::upstream::{
    BackendHost, BalanceMethod, BalanceOptions, HealthOptions, Options, ServerNameSource,
    TlsOptions,
};

use crate::harness::backends::apache::Apache;
use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::origin::Origin;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::raw::{ask, header};
use crate::harness::proxy::ProxySetup;
use crate::harness::service::{Service, ServiceSetup, empty};

const GET: &str = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
const FACTS: &str = "add_header x-sni $ssl_server_name; add_header x-host $http_host;
    add_header x-forwarded $http_x_forwarded_host; add_header x-connection $connection;
    add_header x-protocol $server_protocol; location / { return 200 \"$http_host $ssl_server_name $http_x_forwarded_host\"; }";
const VIRTUAL_HOSTS: &str = "
    <VirtualHost *:*>\nServerName localhost\nSSLEngine on\nSSLCertificateFile {dir}/cert.pem
    SSLCertificateKeyFile {dir}/key.pem\nHeader always set X-Vhost own\n</VirtualHost>
    <VirtualHost *:*>\nServerName www.example.org\nSSLEngine on\nSSLCertificateFile {dir}/cert.pem
    SSLCertificateKeyFile {dir}/key.pem\nSSLProtocol -all +TLSv1.2\nHeader always set X-Vhost clients\n</VirtualHost>";

async fn get(service: &Service, host: &str) -> Response<Incoming> {
    let request = Request::get("/none").header("host", host);
    service.fetch1(request.body(empty()).unwrap()).await
}

/// A service with one HTTPS backend.
async fn serve(url: &str, options: Options, pattern: &str) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream = options;
    setup.upstream_at(pattern, &[url]).start().await
}

fn seen<'r>(response: &'r Response<Incoming>, name: &str) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

fn insecure(sni: Option<ServerNameSource>) -> Options {
    Options {
        tls: TlsOptions {
            is_insecure: true,
            sni,
            ..TlsOptions::default()
        },
        ..Options::default()
    }
}

#[tokio::test]
async fn apache_with_two_tls_names_is_content_if_host_and_sni_agree() {
    // Given an Apache with two names, and an upstream that is one of them.
    let modules = ["ssl", "socache_shmcb", "headers"];
    let apache = Apache::start(&TestCa::root("backends"), &modules, VIRTUAL_HOSTS).await;
    let trusting = || Options {
        tls: TlsOptions {
            root: Some(apache.root()),
            ..TlsOptions::default()
        },
        ..Options::default()
    };
    let site = "www.example.org";

    // When the client's host goes there, Apache refuses, since the handshake has named another one.
    let service = serve(&apache.url(), trusting(), site).await;
    assert_eq!(get(&service, site).await.status(), 421);

    // Then the backend's own host, or the client's in the handshake too, reach one name each.
    let mut own = trusting();
    own.http.host = BackendHost::Upstream;
    let response = get(&serve(&apache.url(), own, site).await, site).await;
    assert_eq!(
        (response.status().as_u16(), seen(&response, "x-vhost")),
        (404, "own")
    );
    let clients = insecure(Some(ServerNameSource::ClientHost));
    let response = get(&serve(&apache.url(), clients, site).await, site).await;
    assert_eq!(
        (response.status().as_u16(), seen(&response, "x-vhost")),
        (404, "clients")
    );
}

#[tokio::test]
async fn a_backend_over_either_version_of_http_sees_its_own_host_and_still_learns_the_clients() {
    let ca = TestCa::root("backends");
    for nginx in [
        Nginx::start(&ca, FACTS).await,
        Nginx::start_http2(&ca, FACTS).await,
    ] {
        let own = format!("localhost:{}", nginx.address.port());
        for (host, expected) in [
            (BackendHost::Client, "www.example.org"),
            (BackendHost::Upstream, own.as_str()),
            (
                BackendHost::Name(HeaderValue::from_static("app.internal:81")),
                "app.internal:81",
            ),
        ] {
            let mut options = insecure(None);
            options.http.host = host;
            let service = serve(&nginx.url(), options, "www.example.org").await;
            let response = get(&service, "www.example.org").await;
            assert_eq!(response.status(), 200);
            assert_eq!(seen(&response, "x-host"), expected);
            assert_eq!(seen(&response, "x-forwarded"), "www.example.org");
            assert_eq!(seen(&response, "x-sni"), "localhost");
        }
    }
}

#[tokio::test]
async fn connections_whose_handshake_names_the_clients_host_serve_only_that_host() {
    let ca = TestCa::root("backends");
    for nginx in [
        Nginx::start(&ca, FACTS).await,
        Nginx::start_http2(&ca, FACTS).await,
    ] {
        let options = insecure(Some(ServerNameSource::ClientHost));
        let service = serve(&nginx.url(), options, "*.example.org").await;
        let mut connections = Vec::new();
        for host in ["a.example.org", "b.example.org", "a.example.org"] {
            let response = get(&service, host).await;
            assert_eq!(seen(&response, "x-sni"), host);
            connections.push(seen(&response, "x-connection").to_owned());
            response.into_body().collect().await.unwrap();
        }
        assert_ne!(connections[0], connections[1]);
        assert_eq!(connections[0], connections[2], "it is used again");
    }
}

#[tokio::test]
async fn a_backend_that_fails_for_a_name_which_works_at_another_is_ejected() {
    // Given two backends that are asked for the client's host, one of them with a certificate of a stranger.
    let ca = TestCa::root("backends");
    let good = Nginx::start(&ca, FACTS).await;
    let bad = Nginx::start(&TestCa::root("strangers"), FACTS).await;
    let mut setup = ServiceSetup::new();
    setup.upstream = Options {
        tls: TlsOptions {
            root: Some(good.root()),
            sni: Some(ServerNameSource::ClientHost),
            ..TlsOptions::default()
        },
        balancing: Box::new(BalanceOptions {
            method: BalanceMethod::RoundRobin,
            ..BalanceOptions::default()
        }),
        ..Options::default()
    };
    let service = setup
        .upstream_at("*", &[&bad.url(), &good.url()])
        .start()
        .await;
    let is_ejected = || {
        let backends = service.upstreams[0].backends();
        [backends[0].is_ejected(), backends[1].is_ejected()]
    };
    // When clients ask for a name that neither knows, then neither is ejected.
    for _ in 0..8 {
        assert_eq!(get(&service, "www.example.org").await.status(), 502);
    }
    assert_eq!(is_ejected(), [false, false]);
    // When they ask for a name that works at one, then the other is ejected.
    for _ in 0..8 {
        assert_eq!(get(&service, "localhost").await.status(), 200);
    }
    assert_eq!(is_ejected(), [true, false]);
}

#[tokio::test]
async fn a_retry_at_another_backend_names_that_backend() {
    let closing = Origin::start(|mut connection| async move {
        connection.read_request().await;
    })
    .await;
    let answering = Origin::ok().await;
    let (mut closing, mut answering) = (closing, answering);
    let mut setup = ServiceSetup::new();
    setup.upstream.http.host = BackendHost::Upstream;
    let addresses = [closing.address, answering.address];
    let service = setup.site("www.example.org", &addresses).start().await;
    while closing.connections() == 0 {
        let answer = ask(service.h1, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    for origin in [&mut closing, &mut answering] {
        let own = origin.address.to_string();
        let request = origin.event().await;
        assert_eq!(header(&request, "host"), Some(own.as_str()));
    }
}

#[tokio::test]
async fn health_checks_name_the_configured_host() {
    let mut origin = Origin::ok().await;
    let mut setup = ServiceSetup::new();
    setup.upstream.http.host = BackendHost::Name(HeaderValue::from_static("app.internal"));
    setup.upstream.balancing.health = Some(HealthOptions {
        interval: Duration::from_millis(20),
        ..HealthOptions::new("/healthz".to_owned())
    });
    let _service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    let check = origin.event().await;
    assert!(check.starts_with("GET /healthz "), "{check}");
    assert_eq!(header(&check, "host"), Some("app.internal"));
}

#[tokio::test]
async fn a_proxyfile_sets_host_and_sni() {
    let nginx = Nginx::start(&TestCa::root("backends"), FACTS).await;
    let setup = ProxySetup::new();
    let text = format!(
        r#"
        [sites."a.localhost"]
        upstream = "{url}"
        upstream-options = {{ host = "upstream", tls = {{ insecure = true }} }}
        [sites."b.localhost"]
        upstream = "{url}"
        upstream-options = {{ host = "app.internal", tls = {{ insecure = true, sni = "{{host}}" }} }}
        "#,
        url = nginx.url()
    );
    let proxy = setup.proxyfile(&text).start().await;
    let own = format!("localhost:{}", nginx.address.port());
    for (site, seen) in [
        ("a.localhost", format!("{own} localhost a.localhost")),
        (
            "b.localhost",
            "app.internal b.localhost b.localhost".to_owned(),
        ),
    ] {
        let answer = proxy.client().get(proxy.https(), site, "/").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, seen);
    }
}
