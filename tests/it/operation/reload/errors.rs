//! Reloads that are refused, and what `check` says about them beforehand.

use rustix::process::Signal;

use super::fixtures::{named, send, version, versioned};
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::proxy::{Proxy, ProxySetup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_changes_nothing_and_every_mistake_is_reported() {
    let app = App::start().await;
    let mut proxy = ProxySetup::new()
        .proxyfile(&versioned(app.address, 1))
        .start()
        .await;
    let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
    let other = versioned(app.address, 2);
    for (text, said) in [
        (
            format!("emial = \"a@b.c\"\n{other}hsts = \"soon\"\n"),
            &["Proxyfile:1:1: unknown key `emial`", "; ", ":6:8: "][..],
        ),
        ("[sites]\n".to_owned(), &["there is no site"]),
        (
            format!("storage = \"file:elsewhere\"\nadmin = \"other.sock\"\n{other}"),
            &["Proxyfile:2:9: `admin` cannot change while the proxy runs; restart the proxy"],
        ),
        (
            format!("{other}[log]\nformat = \"json\"\n"),
            &["Proxyfile:6:10: `log.format` cannot change"],
        ),
        (
            format!(
                "on-cert = \"nothing\"\n{other}tls = {{ cert = \"no.pem\", key = \"no.key\" }}\n"
            ),
            &[
                "does not exist; create it, or set the path of another one",
                "no.pem is not a readable PEM file",
                "no.key",
            ],
        ),
        (
            format!("[listen]\nhttp = \"x\"\n{other}"),
            &["`x` is not a valid address to listen on"],
        ),
    ] {
        let line = proxy.reload(&text).await;
        assert!(
            line.contains("ERROR") && line.contains("stays in effect"),
            "{line}"
        );
        assert_eq!(line.matches(said[0]).count(), 1, "{line}");
        for part in said {
            assert!(line.contains(part), "`{part}` is not in: {line}");
        }
        assert_eq!(version(&send(&mut sender, "localhost").await), "1");
    }
    // A flag sets the data directory, so that the file's setting has no effect, neither at the start nor now.
    let line = proxy
        .reload(&format!("storage = \"file:elsewhere\"\n{other}"))
        .await;
    assert!(line.contains("added=0 removed=0 changed=1"), "{line}");
    assert_eq!(version(&send(&mut sender, "localhost").await), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_reports_what_a_reload_would_refuse() {
    let ca = TestCa::root("test");
    let (certificate, key) = ca.loopback();
    let mut proxy = ProxySetup::new()
        .proxyfile(&named(&["localhost"]))
        .start()
        .await;
    let cert = proxy.file("cert.pem", &certificate.pem());
    proxy.file("key.pem", &key.serialize_pem());
    let text = "[sites.\"www.example.org\"]\nupstream = \"3000\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n";
    let line = proxy.reload(text).await;
    let path = cert.with_file_name("Proxyfile");
    let mut check = crate::harness::proxy::command();
    let check = check.args(["check", "--config", &path.display().to_string()]);
    let outcome = check.output().await.unwrap();
    let said = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(2), "{said}");
    assert!(
        said.contains("the certificate of www.example.org in"),
        "{said}"
    );
    assert!(line.contains(said.trim_end()), "{line}\n{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_a_reload_changes_nothing() {
    let app = App::start().await;
    let mut proxy: Proxy = ProxySetup::new().local(&app).start().await;
    proxy.signal(Signal::HUP);
    proxy.logged("nothing to reload").await;
    let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
    assert_eq!(answer.body, "hello");
}
