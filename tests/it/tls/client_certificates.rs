//! Client certificates: who is asked for one, who is let in, and what the backend is told.

use http::Request;
use http_body_util::Full;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};

use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::https::{Client, read};
use crate::harness::clients::raw::header;
use crate::harness::proxy::{Proxy, ProxySetup};

/// A proxy with three sites: one requires certificates of `ca`, one accepts them, and one does not ask.
async fn start(ca: &TestCa) -> (Proxy, App) {
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("clients.pem", &ca.pem());
    let site = |name: &str, rest: &str| {
        format!(
            "\"{name}.localhost\" = {{ upstream = \"{}\"{rest} }}\n",
            app.address
        )
    };
    let text = [
        "[sites]\n".to_owned(),
        site("strict", ", client-auth = { ca = \"clients.pem\" }"),
        site(
            "easy",
            ", client-auth = { ca = \"clients.pem\", mode = \"optional\" }",
        ),
        site("open", ", default = true"),
    ];
    (setup.proxyfile(&text.concat()).start().await, app)
}

const FORGED: [(&str, &str); 5] = [
    ("X-Client-Cert-Subject", "CN=root"),
    ("x_client_cert_subject", "CN=root"),
    ("X-Client-Cert-Verified", "root"),
    ("client-cert", ":root:"),
    ("Client_Cert_Chain", ":root:"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_gets_the_verified_identity_and_no_forged_one() {
    let ca = TestCa::root("clients");
    let (proxy, _app) = start(&ca).await;
    let (certificate, key) = ca.client("alice");
    let alice = proxy.client().identified(&certificate, &key);
    for name in ["strict.localhost", "easy.localhost"] {
        let seen = alice.fields(proxy.https(), name, &FORGED).await;
        assert_eq!(header(&seen, "x-client-cert-verified"), Some("true"));
        assert_eq!(header(&seen, "x-client-cert-subject"), Some("CN=alice"));
        assert_eq!(
            header(&seen, "x-client-cert-fingerprint").unwrap().len(),
            64
        );
        assert!(header(&seen, "client-cert").unwrap().starts_with(":MII"));
        assert!(!seen.contains("root"), "{seen}");
    }
    let seen = alice.fields(proxy.https(), "open.localhost", &FORGED).await;
    assert!(!seen.contains("cert"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_a_certificate_is_refused_or_marked_as_such() {
    let (proxy, _app) = start(&TestCa::root("clients")).await;
    let nobody = proxy.client();
    assert!(!gets_in(&nobody, &proxy, "strict.localhost").await);
    let seen = nobody
        .fields(proxy.https(), "easy.localhost", &FORGED)
        .await;
    assert_eq!(header(&seen, "x-client-cert-verified"), Some("false"));
    assert!(!seen.contains("root") && header(&seen, "x-client-cert-subject").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_another_ca_are_refused_wherever_one_is_asked_for() {
    let ca = TestCa::root("clients");
    let (proxy, _app) = start(&ca).await;
    let (certificate, key) = TestCa::root("clients").client("alice");
    let mallory = proxy.client().identified(&certificate, &key);
    // A server certificate is not valid as a client certificate.
    let (certificate, key) = ca.loopback();
    let server = proxy.client().identified(&certificate, &key);
    for client in [mallory, server] {
        for name in ["strict.localhost", "easy.localhost"] {
            assert!(!gets_in(&client, &proxy, name).await, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_in_the_file_itself_is_accepted_whoever_signed_it() {
    let ca = TestCa::root("a vendor");
    let (certificate, key) = ca.client("device");
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("clients.pem", &certificate.pem());
    let text = format!(
        "[sites]\n\"strict.localhost\" = {{ upstream = \"{}\", client-auth = {{ ca = \"clients.pem\" }} }}\n",
        app.address
    );
    let proxy = setup.proxyfile(&text).start().await;

    let device = proxy.client().identified(&certificate, &key);
    assert!(gets_in(&device, &proxy, "strict.localhost").await);
    // Another certificate of the same CA is not in the file.
    let (certificate, key) = ca.client("device");
    let other = proxy.client().identified(&certificate, &key);
    assert!(!gets_in(&other, &proxy, "strict.localhost").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_client_certificate_in_the_file_lets_in_nobody_else() {
    let ca = TestCa::root("a vendor");
    let (alice, alice_key) = ca.client("alice");
    let (admin, admin_key) = signed_by("alice", &alice_key, "admin");
    let app = App::start().await;
    // The file may hold a CA too.
    for others in [String::new(), TestCa::root("another").pem()] {
        let setup = ProxySetup::new();
        setup.file("clients.pem", &format!("{}{others}", alice.pem()));
        let text = format!(
            "[sites]\n\"strict.localhost\" = {{ upstream = \"{}\", client-auth = {{ ca = \"clients.pem\" }} }}\n",
            app.address
        );
        let proxy = setup.proxyfile(&text).start().await;
        let itself = proxy.client().identified(&alice, &alice_key);
        assert!(gets_in(&itself, &proxy, "strict.localhost").await);
        let other = proxy.client().identified(&admin, &admin_key);
        assert!(!gets_in(&other, &proxy, "strict.localhost").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_shows_how_to_let_an_unknown_client_in() {
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("clients.pem", &TestCa::root("clients").pem());
    let text = format!(
        "[sites]\n\"strict.localhost\" = {{ upstream = \"{}\", client-auth = {{ ca = \"clients.pem\" }} }}\n",
        app.address
    );
    let setup = setup.proxyfile(&text).args(["--log-level", "debug"]);
    let mut proxy = setup.start().await;
    let (certificate, key) = TestCa::root("a vendor").client("device");
    let device = proxy.client().identified(&certificate, &key);

    assert!(!gets_in(&device, &proxy, "strict.localhost").await);

    let line = proxy.logged("no CA in the file of `client-auth`").await;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02X}"));
    let fingerprint = digits.collect::<Vec<_>>().join(":");
    assert!(line.contains(&fingerprint), "{line}");
}

/// A client certificate that the key of another certificate has signed, and its key.
fn signed_by(signer: &str, key: &KeyPair, name: &str) -> (rcgen::Certificate, KeyPair) {
    let params = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params
    };
    let signer = params(signer);
    let own_key = KeyPair::generate().unwrap();
    let certificate = params(name).signed_by(&own_key, &Issuer::from_params(&signer, key));
    (certificate.unwrap(), own_key)
}

/// Returns `true` if a request to `name` on a new connection is answered.
async fn gets_in(client: &Client, proxy: &Proxy, name: &str) -> bool {
    let client = client.alpn("http/1.1");
    let Ok(stream) = client.connect(proxy.https(), name).await else {
        return false;
    };
    let stream = hyper_util::rt::TokioIo::new(stream);
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(stream).await else {
        return false;
    };
    let request = Request::get("/").header("host", name);
    let request = request.body(Full::<bytes::Bytes>::default()).unwrap();
    tokio::select! {
        answer = sender.send_request(request) => answer.is_ok(),
        _ = connection => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cannot_reach_a_site_with_another_client_policy() {
    let ca = TestCa::root("clients");
    let (proxy, _app) = start(&ca).await;
    let (certificate, key) = ca.client("alice");
    let alice = proxy.client().identified(&certificate, &key);
    let names = ["strict.localhost", "easy.localhost", "open.localhost"];
    for opened in names {
        for wanted in names {
            let mut sender = alice.http2(proxy.https(), opened).await;
            let request = Request::get(format!("https://{wanted}/"));
            let request = request.body(Full::default()).unwrap();
            let status = read(sender.send_request(request).await.unwrap())
                .await
                .status;
            let expected = if opened == wanted { 200 } else { 421 };
            assert_eq!(status, expected, "{wanted} over {opened}");
        }
    }
    // Without SNI the client reaches the default site, which does not ask.
    let unnamed = alice.without_sni();
    for (wanted, expected) in [
        ("strict.localhost", 421),
        ("easy.localhost", 421),
        ("open.localhost", 200),
    ] {
        let mut sender = unnamed.http1(proxy.https(), "open.localhost").await;
        let request = Request::get("/").header("host", wanted);
        let request = request.body(Full::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), expected, "{wanted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_not_resumed_where_client_certificates_are_asked_for() {
    let ca = TestCa::root("clients");
    let (proxy, _app) = start(&ca).await;
    let (certificate, key) = ca.client("alice");
    // Both clients share one session cache; the second shows no certificate.
    let nobody = proxy.client();
    let alice = nobody.identified(&certificate, &key);
    for _ in 0..2 {
        assert!(gets_in(&alice, &proxy, "strict.localhost").await);
        assert!(gets_in(&nobody, &proxy, "open.localhost").await);
    }
    assert!(!gets_in(&nobody, &proxy, "strict.localhost").await);
    for (name, resumes) in [
        ("strict.localhost", false),
        ("easy.localhost", false),
        ("open.localhost", true),
    ] {
        assert!(gets_in(&alice, &proxy, name).await);
        let stream = alice
            .alpn("http/1.1")
            .connect(proxy.https(), name)
            .await
            .unwrap();
        let kind = stream.get_ref().1.handshake_kind().unwrap();
        assert_eq!(kind == rustls::HandshakeKind::Resumed, resumes, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_shows_its_certificate() {
    let ca = TestCa::root("clients");
    let (proxy, _app) = start(&ca).await;
    let (certificate, key) = ca.client("alice");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let root = file("root.pem", &proxy.internal_root());
    let (cert, key) = (
        file("cert.pem", &certificate.pem()),
        file("key.pem", &key.serialize_pem()),
    );
    let port = proxy.https().port();
    let curl = |with_certificate: bool| {
        let mut command = tokio::process::Command::new("curl");
        command
            .args(["--silent", "--show-error", "--cacert"])
            .arg(&root)
            .args(["--resolve", &format!("strict.localhost:{port}:127.0.0.1")])
            .arg(format!("https://strict.localhost:{port}/fields"));
        if with_certificate {
            command.arg("--cert").arg(&cert).arg("--key").arg(&key);
        }
        command.output()
    };
    let output = curl(true).await.unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(header(&seen, "x-client-cert-subject"), Some("CN=alice"));
    assert!(!curl(false).await.unwrap().status.success());
}

#[tokio::test]
async fn a_client_ca_that_cannot_be_read_stops_the_start() {
    let setup = ProxySetup::new();
    let (_, key) = TestCa::root("clients").client("alice");
    setup.file("clients.pem", &key.serialize_pem());
    for ca in ["clients.pem", "missing.pem"] {
        let text = format!(
            "[sites]\n\"localhost\" = {{ upstream = \"localhost:1\", client-auth = {{ ca = \"{ca}\" }} }}\n"
        );
        let path = setup.file("Proxyfile", &text);
        let storage = format!("file:{}", setup.data().display());
        for command in ["run", "check"] {
            let output = crate::harness::proxy::command()
                .arg(command)
                .arg("--config")
                .arg(&path)
                .args(["--storage", &storage])
                .output()
                .await
                .unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success(), "{command}: {error}");
            assert!(
                error.contains("not a readable PEM file with CA certificates"),
                "{error}"
            );
        }
    }
}
