//! Backends over TLS: a real nginx, verified or not.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proxy::name::HostName;
use proxy::upstream::{
    Address, HealthOptions, Options, SendProxy, ServerNameSource, TlsError, TlsOptions, Upstream,
    UpstreamContext,
};
use rcgen::{BasicConstraints, IsCa};

use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::raw::{RawStream, ask};
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;
use crate::harness::service::{Service, ServiceSetup, empty};

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
pub(super) const FACTS: &str = "ssl_verify_client optional;
    add_header x-reused $ssl_session_reused; add_header x-protocol $server_protocol;
    add_header x-client $ssl_client_verify; add_header x-sni $ssl_server_name;
    location / { return 200 \"$host\"; }";

fn trusting(nginx: &Nginx) -> TlsOptions {
    TlsOptions {
        root: Some(nginx.root()),
        ..TlsOptions::default()
    }
}

pub(super) async fn serve(address: &str, tls: TlsOptions) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream.tls = tls;
    setup.upstream(&[address], None).start().await
}

async fn get(service: &Service) -> Response<Incoming> {
    let request = Request::get("/").header("host", "www.example.org");
    service.fetch1(request.body(empty()).unwrap()).await
}

#[tokio::test]
async fn a_backend_with_a_configured_root_is_verified_and_gets_the_clients_host() {
    let nginx = Nginx::start(&TestCa::root("backends"), FACTS).await;
    let service = serve(&nginx.url(), trusting(&nginx)).await;

    let response = get(&service).await;

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-protocol"], "HTTP/1.1");
    assert_eq!(response.headers()["x-sni"], "localhost");
    assert_eq!(response.headers()["x-client"], "NONE");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "www.example.org");
}

#[tokio::test]
async fn a_later_connection_resumes_the_session_of_an_earlier_one() {
    let lines = format!("keepalive_timeout 0; {FACTS}");
    let nginx = Nginx::start(&TestCa::root("backends"), &lines).await;
    let service = serve(&nginx.url(), trusting(&nginx)).await;

    let first = get(&service).await;
    assert_eq!(first.headers()["x-reused"], ".");
    first.into_body().collect().await.unwrap();
    let second = get(&service).await;
    assert_eq!(second.headers()["x-reused"], "r");
}

#[tokio::test]
async fn a_backend_that_prefers_http_2_gets_it() {
    let nginx = Nginx::start_http2(&TestCa::root("backends"), FACTS).await;
    let service = serve(&nginx.url(), trusting(&nginx)).await;
    for _ in 0..3 {
        let response = get(&service).await;
        assert_eq!(response.headers()["x-protocol"], "HTTP/2.0");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "www.example.org");
    }
}

#[tokio::test]
async fn the_proxy_header_precedes_tls_on_a_connection_for_that_client_alone() {
    let facts = "add_header x-client $proxy_protocol_addr; add_header x-count $connection_requests;
        add_header x-connection $connection; location / { return 200; }";
    for is_http2 in [false, true] {
        let nginx = Nginx::start_proxied(&TestCa::root("backends"), is_http2, facts).await;
        let mut setup = ServiceSetup::new();
        setup.upstream.tls = trusting(&nginx);
        setup.upstream.send_proxy = Some(SendProxy::V2);
        setup.upstream.balancing.health = Some(HealthOptions {
            interval: Duration::from_millis(20),
            ..HealthOptions::new("/".to_owned())
        });
        let service = setup.upstream(&[&nginx.url()], None).start().await;
        let mut connections = BTreeSet::new();
        for _ in 0..3 {
            let response = get(&service).await;
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["x-client"], "127.0.0.1");
            assert_eq!(response.headers()["x-count"], "1");
            let connection = response.headers()["x-connection"].to_str().unwrap();
            connections.insert(connection.to_owned());
            response.into_body().collect().await.unwrap();
        }
        assert_eq!(connections.len(), 3);
        assert!(!service.upstreams[0].backends()[0].is_down());
    }
}

#[tokio::test]
async fn a_backend_that_requests_a_client_certificate_gets_one() {
    let lines = FACTS.replace("optional", "on");
    let nginx = Nginx::start(&TestCa::root("backends"), &lines).await;
    assert_eq!(
        get(&serve(&nginx.url(), trusting(&nginx)).await)
            .await
            .status(),
        400
    );

    let tls = TlsOptions {
        identity: Some(nginx.identity()),
        ..trusting(&nginx)
    };
    let response = get(&serve(&nginx.url(), tls).await).await;
    assert_eq!(response.headers()["x-client"], "SUCCESS");
}

#[tokio::test]
async fn a_certificate_of_an_untrusted_ca_is_a_502() {
    let nginx = Nginx::start(&TestCa::root("backends"), FACTS).await;
    let other = Nginx::start(&TestCa::root("others"), FACTS).await;
    for tls in [TlsOptions::default(), trusting(&other)] {
        let answer = ask(serve(&nginx.url(), tls).await.h1, GET).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
    let tls = TlsOptions {
        is_insecure: true,
        ..TlsOptions::default()
    };
    let answer = ask(serve(&nginx.url(), tls).await.h1, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn the_certificate_is_verified_for_the_sni_name() {
    let nginx = Nginx::start(&TestCa::root("backends"), FACTS).await;
    let service = serve(&format!("https://{}", nginx.address), trusting(&nginx)).await;
    assert_eq!(
        get(&service).await.status(),
        200,
        "the address is in the certificate"
    );

    let tls = TlsOptions {
        sni: Some(ServerNameSource::Name(
            HostName::parse("app.internal").unwrap(),
        )),
        ..trusting(&nginx)
    };
    assert_eq!(get(&serve(&nginx.url(), tls).await).await.status(), 502);
}

#[tokio::test]
async fn plain_http_behind_an_https_address_is_a_502() {
    let app = App::start().await;
    let service = serve(&format!("https://{}", app.address), TlsOptions::default()).await;
    assert_eq!(get(&service).await.status(), 502);
}

#[tokio::test]
async fn a_web_socket_reaches_a_backend_that_also_speaks_http_2() {
    let nginx = Nginx::start_http2(&TestCa::root("backends"), FACTS).await;
    let service = serve(&nginx.url(), trusting(&nginx)).await;
    let mut client = RawStream::connect(service.h1).await;
    client
        .send("GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    let head = soon(client.read_head()).await.unwrap().to_lowercase();
    assert!(head.contains("x-protocol: http/1.1"), "{head}");
}

#[test]
fn unusable_files_are_reported_at_the_start_without_their_content() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = dir.path().join("damaged.pem");
    std::fs::write(
        &damaged,
        "-----BEGIN CERTIFICATE-----\nc2VjcmV0!\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let load = |root: PathBuf| {
        let options = Options {
            tls: TlsOptions {
                root: Some(root),
                ..TlsOptions::default()
            },
            ..Options::default()
        };
        let address = Address::parse("https://app").unwrap();
        Upstream::new(
            vec![address],
            options,
            &UpstreamContext::new(proxy::tasks::Tasks::new()),
        )
    };
    let error = load(damaged).unwrap_err();
    assert!(
        !format!("{error}{}", error.reason()).contains("c2Vj"),
        "{error}"
    );
    assert!(matches!(
        load(empty),
        Err(TlsError::NoCertificate(_) | TlsError::File { .. })
    ));
    assert!(matches!(
        load(dir.path().join("none")),
        Err(TlsError::File { .. })
    ));
}

#[tokio::test]
async fn the_log_names_the_problem_with_a_certificate_and_the_fix() {
    let nginx = Nginx::start(&TestCa::root("backends"), FACTS).await;
    let text = format!("[sites]\n\"localhost\" = \"{}\"\n", nginx.url());
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;

    let answer = proxy.client().get(proxy.https(), "localhost", "/").await;

    assert_eq!(answer.status, 502);
    let line = proxy.logged("cannot be verified").await;
    assert!(
        line.contains("give its root in `upstream-options.tls.root`"),
        "{line}"
    );
    assert!(line.contains(&nginx.url()), "{line}");
}

#[tokio::test]
async fn a_wrong_name_in_a_certificate_is_told_once_in_a_short_line() {
    let ca = TestCa::root("backends");
    let nginx = Nginx::start(&ca, FACTS).await;
    let text = format!(
        "[sites.localhost]\nupstream = \"{}\"\nupstream-options = {{ tls = {{ root = \"backends.pem\", sni = \"app.internal.example.org\" }} }}\n",
        nginx.url()
    );
    let setup = ProxySetup::new();
    setup.file("backends.pem", &ca.pem());
    let mut proxy = setup.proxyfile(&text).start().await;

    let answer = proxy.client().get(proxy.https(), "localhost", "/").await;

    assert_eq!(answer.status, 502);
    let line = proxy.logged("it is for another name").await;
    assert!(!line.contains("invalid peer certificate"), "{line}");
    assert!(!line.contains('…'), "{line}");
    assert!(line.len() < 300, "{}: {line}", line.len());
}

/// Lets OpenSSL sign a certificate itself, and returns it with its key.
pub(super) fn self_signed(args: &[&str]) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("openssl");
    command.args("req -x509 -newkey rsa:2048 -nodes -days 30 -keyout k -out c".split(' '));
    let output = command.args(args).current_dir(&dir).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
    (read("c"), read("k"))
}

#[tokio::test]
async fn a_self_signed_backend_is_verified_by_its_very_certificate() {
    let by_other = |is_ca: IsCa| {
        let vendor = TestCa::root("a vendor");
        let (certificate, key) = vendor.changed_loopback(|params| params.is_ca = is_ca);
        (certificate.pem(), key.serialize_pem())
    };
    let name = ["-addext", "subjectAltName=DNS:localhost"];
    let no_ca = ["-addext", "basicConstraints=critical,CA:FALSE"];
    for (certificate, key) in [
        self_signed(&[&["-subj", "/CN=nas"], &name[..]].concat()),
        self_signed(&[&["-subj", "/CN=nas"], &name[..], &no_ca[..]].concat()),
        self_signed(&["-subj", "/CN=localhost"]),
        by_other(IsCa::NoCa),
        by_other(IsCa::Ca(BasicConstraints::Unconstrained)),
    ] {
        let nginx = Nginx::start_as((&certificate, &key), FACTS).await;
        let text = |name: &str| {
            format!(
                "[sites]\n\"localhost\" = {{ upstream = \"{}\", upstream-options = {{ tls = {{ root = \"{name}\" }} }} }}\n",
                nginx.url()
            )
        };
        let setup = ProxySetup::new();
        setup.file("nas.pem", &certificate);
        setup.file("other.pem", &self_signed(&["-subj", "/CN=localhost"]).0);
        let mut proxy = setup.proxyfile(&text("nas.pem")).start().await;
        let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
        assert_eq!(answer.status, 200, "{}", proxy.log());

        // The same backend, if another certificate is the given one.
        proxy.reload(&text("other.pem")).await;
        let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
        assert_eq!(answer.status, 502);
        let line = proxy.logged("cannot be verified").await;
        let digest = fingerprint(&certificate);
        assert!(line.contains(&format!("SHA-256 is {digest}")), "{line}");
        assert!(
            line.contains("add `upstream-options = { tls = { root ="),
            "{line}"
        );
    }
}

/// The fingerprint as OpenSSL prints it.
pub(super) fn fingerprint(certificate: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c"), certificate).unwrap();
    let mut command = std::process::Command::new("openssl");
    command.args("x509 -in c -noout -fingerprint -sha256".split(' '));
    let output = command.current_dir(&dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().split_once('=').unwrap().1.to_owned()
}

#[tokio::test]
async fn the_root_is_found_beside_the_proxyfile() {
    let ca = TestCa::root("backends");
    let nginx = Nginx::start(&ca, FACTS).await;
    let text = format!(
        "[sites.localhost]\nupstream = \"{}\"\nupstream-options = {{ tls = {{ root = \"backends.pem\" }} }}\n",
        nginx.url()
    );
    let setup = ProxySetup::new();
    setup.file("backends.pem", &ca.pem());
    let proxy = setup.proxyfile(&text).start().await;
    let answer = proxy.client().get2(proxy.https(), "localhost", "/").await;
    assert_eq!(answer.status, 200);
}
