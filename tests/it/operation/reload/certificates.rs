//! Certificates of names that a reload adds, changes or removes.

use super::fixtures::{named, send, versioned};
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_names_get_certificates_and_removed_ones_are_no_longer_served() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let before = named(&["a.example.org", "b.example.org"]);
    let setup = setup.proxyfile(&before);
    let setup = setup.ca(&ca.directory_url(), &ca.root_pem());
    let mut proxy = setup.start().await;
    let (client, https) = (Client::new(&ca.issuing_root_pem()), proxy.https());
    for name in ["a.example.org", "b.example.org"] {
        assert_eq!(client.get(https, name, "/").await.body, name);
    }
    let mut removed = client.http1(https, "a.example.org").await;
    let serial = client.serial(https, "b.example.org").await.unwrap();

    let line = proxy
        .reload(&named(&["b.example.org", "c.example.org"]))
        .await;

    assert!(line.contains("added=1 removed=1 changed=0"), "{line}");
    soon(ca.counted(Step::Certificate, 3)).await;
    assert_eq!(
        client.get(https, "c.example.org", "/").await.body,
        "c.example.org"
    );
    assert_eq!(client.serial(https, "b.example.org").await.unwrap(), serial);
    assert!(client.connect(https, "a.example.org").await.is_err());
    assert_eq!(send(&mut removed, "a.example.org").await.status(), 421);

    // The stored certificate is served again.
    proxy.reload(&before).await;
    assert_eq!(
        client.get(https, "a.example.org", "/").await.body,
        "a.example.org"
    );
    assert_eq!(ca.certificates(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_changes_from_its_own_files_to_an_issuer_and_back_without_a_gap() {
    let ca = TestCa::root("test");
    let (certificate, key) = ca.loopback();
    let files = "[sites.localhost]\nrespond = { body = \"hello\" }\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n";
    let setup = ProxySetup::new();
    setup.file("cert.pem", &certificate.pem());
    setup.file("key.pem", &key.serialize_pem());
    let mut proxy = setup.proxyfile(files).start().await;
    let (with_files, https) = (Client::new(&ca.pem()), proxy.https());
    let own = with_files.serial(https, "localhost").await.unwrap();

    proxy.reload(&named(&["localhost"])).await;
    proxy.logged("certificate obtained").await;
    let issued = proxy.client().serial(https, "localhost").await.unwrap();
    assert_ne!(issued, own);

    proxy.reload(files).await;
    assert_eq!(with_files.serial(https, "localhost").await.unwrap(), own);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_certificate_policy_applies_to_open_connections() {
    let ca = TestCa::root("clients");
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("clients.pem", &ca.pem());
    let mut proxy = setup.proxyfile(&versioned(app.address, 1)).start().await;
    let (client, https) = (proxy.client(), proxy.https());
    let mut before = client.http1(https, "localhost").await;
    assert_eq!(send(&mut before, "localhost").await.status(), 200);

    proxy
        .reload(&(versioned(app.address, 2) + "client-auth = { ca = \"clients.pem\" }\n"))
        .await;

    assert_eq!(send(&mut before, "localhost").await.status(), 421);
    let (certificate, key) = ca.client("alice");
    let alice = client.identified(&certificate, &key);
    let mut known = alice.http1(https, "localhost").await;
    assert_eq!(send(&mut known, "localhost").await.status(), 200);
}
