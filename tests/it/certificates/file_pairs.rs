//! Certificates that the operator provides as files.

use std::path::Path;

use rustix::process::Signal;

use crate::harness::admin::run;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::https::Client;
use crate::harness::proxy::{Proxy, ProxySetup};

async fn start(setup: ProxySetup) -> Proxy {
    let app = App::start().await;
    let text = format!(
        "[sites.localhost]\nupstream = \"{}\"\ntls = {{ cert = \"cert.pem\", key = \"key.pem\" }}\n",
        app.address
    );
    setup.proxyfile(&text).start().await
}

/// Certificate and key of `localhost`.
fn pair(ca: &TestCa) -> (String, String) {
    let (certificate, key) = ca.loopback();
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_pair_is_served_once_it_is_whole() {
    let ca = TestCa::root("test");
    let setup = ProxySetup::new();
    let (cert, key) = pair(&ca);
    let cert_file = setup.file("cert.pem", &cert);
    let key_file = setup.file("key.pem", &key);
    let mut proxy = start(setup).await;
    let client = Client::new(&ca.pem());
    let first = client.serial(proxy.https(), "localhost").await.unwrap();

    // First half of the certificate, then all of it but still with the old key.
    let (cert, key) = pair(&ca);
    write(&cert_file, &cert[..cert.len() / 2]);
    let line = proxy.logged("the previous pair is still served").await;
    assert!(line.contains("cert.pem") && line.contains("WARN"), "{line}");
    write(&cert_file, &cert);
    let line = proxy.logged("does not belong to its certificate").await;
    assert!(line.contains("cert.pem"), "{line}");
    assert_eq!(
        client.serial(proxy.https(), "localhost").await.unwrap(),
        first
    );

    write(&key_file, &key);
    proxy.logged("certificate files reloaded").await;
    let second = client.serial(proxy.https(), "localhost").await.unwrap();
    assert_ne!(second, first);

    // A file that is missing for a moment changes nothing.
    std::fs::remove_file(&key_file).unwrap();
    proxy.logged("cannot be read").await;
    assert_eq!(
        client.serial(proxy.https(), "localhost").await.unwrap(),
        second
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_disorder_are_served_in_order() {
    // Given a file with the intermediate and a stranger before the leaf, as Windows writes it.
    let root = TestCa::root("test");
    let intermediate = root.intermediate("an intermediate");
    let (leaf, key) = pair(&intermediate);
    let stranger = TestCa::root("a stranger");
    let text = format!("\u{feff}{}{}{leaf}", intermediate.pem(), stranger.pem());
    let setup = ProxySetup::new();
    setup.file("cert.pem", &text.replace('\n', "\r\n"));
    setup.file("key.pem", &format!("Bag Attributes: é\n{key}"));

    let mut proxy = start(setup).await;

    let line = proxy.logged("left out of a chain").await;
    assert!(
        line.contains("CN=a stranger") && line.contains("cert.pem"),
        "{line}"
    );
    let client = Client::new(&root.pem());
    client.serial(proxy.https(), "localhost").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incomplete_chain_is_a_warning_with_its_cure() {
    let intermediate = TestCa::root("test").intermediate("an intermediate");
    let (leaf, key) = pair(&intermediate);
    let setup = ProxySetup::new();
    setup.file("cert.pem", &leaf);
    setup.file("key.pem", &key);
    let mut proxy = start(setup).await;
    let line = proxy.logged("its chain is incomplete").await;
    let cure = "CN=an intermediate is missing; append it to the file";
    assert!(line.contains("WARN") && line.contains(cure), "{line}");

    // A reload that leaves the file as it is says nothing of it again.
    proxy.reload_by(|proxy| proxy.signal(Signal::HUP)).await;
    let log = proxy.log();
    assert_eq!(log.matches("its chain is incomplete").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_names_the_files_that_have_another_certificate() {
    let ca = TestCa::root("test");
    let setup = ProxySetup::new();
    let (cert, key) = pair(&ca);
    setup.file("cert.pem", &cert);
    setup.file("key.pem", &key);
    let proxy = start(setup).await;
    // The proxy also looks by itself every two seconds, and may be faster than one of the reloads.
    for _ in 0..10 {
        let (cert, key) = pair(&ca);
        proxy.file("cert.pem", &cert);
        proxy.file("key.pem", &key);
        let told = run(&proxy.data(), &["reload"]).await;
        assert_eq!(told.code, 0, "{}", told.err);
        if told.out.contains("\nchanged  certificate in ") && told.out.contains("/cert.pem\n") {
            return;
        }
    }
    panic!("no reload has told the new certificate: {}", proxy.log());
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
