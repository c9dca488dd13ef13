//! Handshakes: which certificate a ClientHello gets, and the answer when there is none.

use std::process::Stdio;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::https::Client;
use crate::harness::clients::raw::{ask, header};
use crate::harness::deadline::soon;
use crate::harness::proxy::{ProxySetup, command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_name_needs_no_network_and_its_root_is_logged() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new().local(&app).start().await;
    let line = proxy.logged("the internal CA signs certificates").await;
    assert!(line.contains("internal-ca/root.pem"), "{line}");
    let client = proxy.client();
    let serial = client.serial(proxy.https(), "localhost").await.unwrap();
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "hello"
    );
    assert_eq!(
        client.get2(proxy.https(), "localhost", "/").await.body,
        "hello"
    );

    // The root and the leaf survive a restart.
    let proxy = proxy.stop().await.start().await;
    assert_eq!(
        client.serial(proxy.https(), "localhost").await.unwrap(),
        serial
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_sni_gets_the_default_site() {
    let setup = ProxySetup::new().proxyfile(
        "[sites]\n\
         \"a.localhost\" = { upstream = \"localhost:1\" }\n\
         \"b.localhost\" = { upstream = \"localhost:1\", default = true }\n",
    );
    let mut proxy = setup.start().await;
    proxy.logged("certificate obtained").await;
    let client = proxy.client();
    let by_name = client.serial(proxy.https(), "b.localhost").await.unwrap();
    let unnamed = client
        .without_sni()
        .serial(proxy.https(), "b.localhost")
        .await
        .unwrap();
    assert_eq!(unnamed, by_name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_sni_is_refused_without_a_default_site() {
    let setup = ProxySetup::new().proxyfile(
        "[sites]\n\"a.localhost\" = \"localhost:1\"\n\"b.localhost\" = \"localhost:1\"\n",
    );
    let proxy = setup.start().await;
    let client = proxy.client();
    let error = client
        .without_sni()
        .connect(proxy.https(), "a.localhost")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_site_covers_one_label() {
    let app = App::start().await;
    let address = app.address;
    let text = format!("[sites]\n\"*.home.arpa\" = \"{address}\"\n");
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client();
    assert_eq!(
        client.get(proxy.https(), "nas.home.arpa", "/").await.body,
        "hello"
    );
    for name in ["a.b.home.arpa", "home.arpa", "nas.example.org"] {
        let error = client.serial(proxy.https(), name).await.unwrap_err();
        assert!(
            error.to_string().contains("UnrecognisedName"),
            "{name}: {error}"
        );
    }
    assert!(
        !proxy.data().join("certificates").exists(),
        "made-up names leave no files"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_may_use_its_own_certificate_files() {
    let app = App::start().await;
    let ca = TestCa::root("the operator's CA");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["www.example.org".to_owned()]).unwrap();
    let leaf = params.signed_by(&key, ca.issuer()).unwrap();
    let setup = ProxySetup::new();
    setup.file("site.pem", &leaf.pem());
    setup.file("site.key", &key.serialize_pem());
    let text = format!(
        "[sites]\n\"www.example.org\" = {{ upstream = \"{}\", tls = {{ cert = \"site.pem\", key = \"site.key\" }} }}\n",
        app.address
    );
    let proxy = setup.proxyfile(&text).start().await;
    let client = Client::new(&ca.pem());
    assert_eq!(
        client.get(proxy.https(), "www.example.org", "/").await.body,
        "hello"
    );
    assert!(!proxy.log().contains("being obtained"), "{}", proxy.log());
}

#[tokio::test]
async fn a_key_of_another_certificate_stops_the_start() {
    let ca = TestCa::root("the operator's CA");
    let (certificate, _) = ca.loopback();
    let (_, other_key) = ca.loopback();
    let setup = ProxySetup::new();
    setup.file("site.pem", &certificate.pem());
    setup.file("site.key", &other_key.serialize_pem());
    let path = setup.file(
        "Proxyfile",
        "[sites]\n\"localhost\" = { upstream = \"localhost:1\", tls = { cert = \"site.pem\", key = \"site.key\" } }\n",
    );
    let storage = format!("file:{}", setup.data().display());
    let output = command()
        .arg("run")
        .arg("--config")
        .arg(path)
        .args(["--storage", &storage])
        .output()
        .await
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("does not belong to its certificate"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_on_the_https_port_is_redirected_for_the_host_of_a_site() {
    let args = ["--upstream", "localhost:1", "--domain", "localhost"];
    let proxy = ProxySetup::new().args(args).start().await;
    let port = proxy.https().port();
    for (host, seen) in [
        ("localhost".to_owned(), port),
        (format!("LOCALHOST:{port}"), port),
        // A machine in between maps another port to this one.
        ("localhost:8443".to_owned(), 8443),
    ] {
        let request = format!("POST /a?b HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\n\r\nabc");
        let answer = ask(proxy.https(), request).await;
        assert!(answer.starts_with("HTTP/1.1 308 "), "{host}: {answer}");
        let location = format!("https://localhost:{seen}/a?b");
        assert_eq!(header(&answer, "location"), Some(location.as_str()));
        assert_eq!(header(&answer, "connection"), Some("close"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_plain_http_on_the_https_port_gets_an_explanation() {
    let args = ["--upstream", "localhost:1", "--domain", "localhost"];
    let proxy = ProxySetup::new().args(args).start().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: localhost:443\r\n\r\n".to_owned(),
        "GET * HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        "GET /#x HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(9000)),
    ] {
        let answer = ask(proxy.https(), request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
        assert!(
            answer.ends_with("\r\n\r\nThis port speaks HTTPS.\n"),
            "{answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_below_1_2_are_refused_and_the_hybrid_key_exchange_is_preferred() {
    let args = ["--upstream", "localhost:1", "--domain", "localhost"];
    let proxy = ProxySetup::new().args(args).start().await;
    let stream = proxy.client().connect(proxy.https(), "localhost").await;
    let stream = stream.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);

    let address = proxy.https().to_string();
    for (version, shown) in [
        ("-tls1_2", "Protocol  : TLSv1.2"),
        ("-tls1_3", "New, TLSv1.3"),
        ("-tls1_1", "SSL alert number"),
        ("-tls1", "SSL alert number"),
    ] {
        let mut openssl = tokio::process::Command::new("openssl");
        let args = ["s_client", "-connect", &address, "-servername", "localhost"];
        let old = ["-cipher", "DEFAULT@SECLEVEL=0", version];
        let output = openssl.args(args).args(old).stdin(Stdio::null()).output();
        let output = output.await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(shown), "{version}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_offers_only_http_1_0_gets_an_answer() {
    let app = App::start().await;
    let proxy = ProxySetup::new().local(&app).start().await;
    let client = proxy.client().alpn("http/1.0");

    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();

    let request = b"GET / HTTP/1.0\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
}
