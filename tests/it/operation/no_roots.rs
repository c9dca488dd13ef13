//! A start on a machine without certificates of public CAs.

use tokio::process::Command;

use crate::harness::admin::Outcome;
use crate::harness::ca::pki::TestCa;
use crate::harness::deadline::soon;
use crate::harness::proxy::{ProxySetup, command};

/// A CA that needs no roots of this machine, and the storage.
const TOP: &str = "storage = \"file:DATA\"\n[[issuers]]\ndirectory = \"https://ca.test/dir\"\nroot = \"ca.pem\"\n";
const SITE: &str = "[sites]\n\"www.example.org\" = \"localhost:1\"\n";

/// Takes the roots away.
fn without_roots(command: &mut Command) -> &mut Command {
    command
        .env("SSL_CERT_FILE", "/nowhere/roots.pem")
        .env("SSL_CERT_DIR", "/nowhere")
}

#[tokio::test]
async fn a_start_that_needs_roots_says_which_package_has_them() {
    let setup = ProxySetup::new();
    setup.file("ca.pem", &TestCa::root("ca").pem());
    let top = TOP.replace("DATA", &setup.data().display().to_string());
    let settings = |settings: &str| format!("{settings}\n{top}{SITE}");
    let site = |site: &str| format!("{top}[sites]\n\"*.example.org\" = {site}\n");
    for text in [
        settings("tracing = \"https://traces.test\""),
        settings("on-problem = \"https://alerts.test\""),
        site("{ upstream = \"localhost:1\", on-demand = { ask = \"https://ask.test\" } }"),
        site("{ upstream = \"localhost:1\", dns = { cloudflare = { token = \"a-token\" } } }"),
        format!("{top}[sites]\n\"www.example.org\" = \"https://localhost:1\"\n"),
    ] {
        let file = setup.file("Proxyfile", &text);
        let mut start = command();
        start.args([
            "--listen-http",
            "127.0.0.1:0",
            "--listen-https",
            "127.0.0.1:0",
        ]);
        let start = without_roots(start.arg("--config").arg(file)).output();
        let told = Outcome::from(soon(start).await.unwrap());
        assert_ne!(told.code, 0, "{text}: {}", told.out);
        for part in [
            "no certificates of public CAs where SSL_CERT_FILE and SSL_CERT_DIR point",
            "install the package `ca-certificates`",
        ] {
            assert!(told.err.contains(part), "{text}: {}", told.err);
        }
    }
}

#[tokio::test]
async fn a_proxy_that_asks_nobody_over_https_needs_no_roots() {
    // Given a private CA whose root is given, preflight, and services over plain HTTP.
    let setup = ProxySetup::new().preflight();
    setup.file("ca.pem", &TestCa::root("ca").pem());
    let top = TOP.replace("DATA", &setup.data().display().to_string());
    let text = format!(
        "tracing = \"http://127.0.0.1:1\"\non-problem = \"http://127.0.0.1:1/\"\n{top}\
         [sites]\nlocalhost = {{ respond = 204 }}\n\
         \"*.example.net\" = {{ upstream = \"localhost:1\", on-demand = {{ ask = \"http://127.0.0.1:1/\" }} }}\n"
    );
    let setup = setup
        .proxyfile(&text)
        .env("SSL_CERT_FILE", "/nowhere/roots.pem")
        .env("SSL_CERT_DIR", "/nowhere");
    // Then it starts, and serves.
    let proxy = setup.start().await;
    let client = proxy.client();
    let answer = client.get(proxy.https(), "localhost", "/").await;
    assert_eq!(answer.status, 204);
    proxy.stop().await;
}
