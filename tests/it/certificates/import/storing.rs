//! Imported certificates: stored, served, and listed by the command.

use std::path::Path;
use std::time::{Duration, SystemTime};

use proxy::app;
use proxy::config::{Config, Flags};
use tempfile::TempDir;

use super::fixtures::{Ca, Leaf, Left};
use crate::harness::clients::https::Client;
use crate::harness::proxy::{ProxySetup, command};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A configuration for `www.example.org` whose CA cannot be reached.
const SITE: [&str; 6] = [
    "--upstream",
    "localhost:1",
    "--domain",
    "www.example.org",
    "--acme-directory",
    "https://127.0.0.1:1/dir",
];

fn config(data: &Path) -> Config {
    let text = |index: usize| SITE[index].to_owned();
    let flags = Flags {
        upstream: vec![text(1)],
        domain: vec![text(3)],
        acme_directory: Some(text(5)),
        storage: Some(format!("file:{}", data.display())),
        ..Flags::default()
    };
    Config::from_quick(&flags).unwrap()
}

async fn import(data: &Path, leaf: &Leaf) -> String {
    let left = Left::new(&[("www.crt", &leaf.chain()), ("www.key", &leaf.key)]);
    let imported = app::import(&config(data), &left.path("www.crt")).await;
    let imported = imported.unwrap();
    assert!(imported.refused.is_empty(), "{:?}", imported.refused);
    imported.lines.join("\n")
}

fn serial(leaf: &Leaf) -> String {
    let text = format!("{}{}", leaf.chain(), leaf.key);
    let certificate = proxy::certs::Certificate::from_pem(text.as_bytes()).unwrap();
    certificate.serial().to_owned()
}

#[tokio::test]
async fn an_imported_certificate_is_served_without_an_order() {
    let ca = Ca::new();
    let leaf = ca.sign(
        &["www.example.org", "example.org", "*.example.org"],
        60 * DAY,
    );
    let setup = ProxySetup::new().args(SITE);
    let line = import(&setup.data(), &leaf).await;
    let sentence = "www.example.org, example.org, *.example.org imported, valid until";
    assert!(line.contains(sentence), "{line}");

    let mut proxy = setup.start().await;
    proxy.logged("certificate loaded").await;
    let client = Client::new(&ca.root.pem());
    let served = client.serial(proxy.https(), "www.example.org").await;
    assert_eq!(served.unwrap(), serial(&leaf));
    assert!(
        !proxy.log().contains("certificate is being obtained"),
        "{}",
        proxy.log()
    );
    let records = proxy.data().join("certificates");
    let issuer = std::fs::read_dir(records).unwrap().next().unwrap().unwrap();
    assert!(
        issuer
            .path()
            .join("_wildcard.example.org/certificate.pem")
            .is_file()
    );
}

#[tokio::test]
async fn a_newer_certificate_is_not_overwritten_by_an_older_one() {
    let (ca, data) = (Ca::new(), TempDir::new().unwrap());
    let long = ca.sign(&["www.example.org"], 60 * DAY);
    let short = ca.sign(&["www.example.org"], 30 * DAY);
    assert!(import(data.path(), &short).await.contains("imported"));
    assert!(import(data.path(), &long).await.contains("imported"));
    let line = import(data.path(), &short).await;
    assert!(line.contains("www.example.org kept: "), "{line}");

    let setup = ProxySetup::new().args(SITE);
    std::fs::rename(data.path(), setup.data()).unwrap();
    let proxy = setup.start().await;
    let client = Client::new(&ca.root.pem());
    let served = client.serial(proxy.https(), "www.example.org").await;
    assert_eq!(served.unwrap(), serial(&long));
}

#[tokio::test]
async fn the_command_lists_imported_and_refused_certificates() {
    let ca = Ca::new();
    let (good, past) = (
        ca.sign(&["www.example.org"], 60 * DAY),
        ca.sign_until(&["old.example.org"], SystemTime::now() - DAY),
    );
    let left = Left::new(&[
        ("www.crt", &good.chain()),
        ("www.key", &good.key),
        ("old/old.crt", &past.chain()),
        ("old/old.key", &past.key),
    ]);
    let storage = format!("file:{}", left.path("data").display());
    for (place, is_done, sentence) in [
        ("", true, "www.crt: www.example.org imported, valid until"),
        ("", true, "www.example.org kept: "),
        ("old", false, "old.crt: it expired at"),
        ("data", false, "data holds no certificate in a known form"),
    ] {
        let mut command = command();
        command.args(["certs", "import"]).arg(left.path(place));
        let output = command
            .args(["--storage", &storage])
            .output()
            .await
            .unwrap();
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(sentence), "{place}: {said}");
        assert_eq!(output.status.success(), is_done, "{place}: {said}");
    }
}
