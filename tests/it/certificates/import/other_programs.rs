//! Real certbot and Caddy: what they get from Pebble is imported from their folders.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use proxy::certs::import::scan;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::fixtures::names;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ports::Reservation;
use crate::harness::skip::skip;

const NAME: &str = "www.example.org";

/// Time limit for Caddy to get its certificates.
const LIMIT: Duration = Duration::from_secs(60);

fn is_missing(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    if found.is_err() {
        skip(&format!("{program} is not installed"));
    }
    found.is_err()
}

fn certbot(dir: &Path, pebble: &Pebble, args: &[&str]) {
    let root = dir.join("api.pem");
    std::fs::write(&root, pebble.root_pem()).unwrap();
    let port = Reservation::new().address().port().to_string();
    let mut command = Command::new("certbot");
    command
        .args(args)
        .args(["--non-interactive", "--agree-tos", "--standalone"])
        .args(["--register-unsafely-without-email", "--http-01-port", &port])
        .args(["--server", pebble.directory_url().as_str()])
        .env("REQUESTS_CA_BUNDLE", &root);
    for folder in ["config", "work", "logs"] {
        let flag = format!("--{folder}-dir");
        command.arg(flag).arg(dir.join(folder));
    }
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_generation_of_certbot_is_imported() {
    if is_missing("certbot") {
        return;
    }
    let pebble = Pebble::start(PebbleOptions::trusting()).await;
    let dir = TempDir::new().unwrap();
    // Given three generations, and a worthless certificate for the same name that is valid for longer.
    let issue = ["certonly", "-d", NAME, "-d", "example.org"];
    certbot(dir.path(), &pebble, &issue);
    for _ in 0..2 {
        certbot(
            dir.path(),
            &pebble,
            &[&issue[..], &["--force-renewal"]].concat(),
        );
    }
    let config = dir.path().join("config");
    let key = KeyPair::generate().unwrap();
    let alone = CertificateParams::new([NAME.to_owned(), "example.org".to_owned()]).unwrap();
    let alone = alone.self_signed(&key).unwrap().pem() + &key.serialize_pem();
    let live = std::fs::read(config.join("live").join(NAME).join("cert.pem")).unwrap();
    let live = CertificateFile(&live).der();
    for place in ["", "a.pem", "z.pem"] {
        if !place.is_empty() {
            std::fs::write(config.join(place), &alone).unwrap();
        }
        for folder in ["", "live", "archive", "live/www.example.org"] {
            let scanned = scan(&config.join(folder)).unwrap();
            let found = names(&scanned);
            assert_eq!(found.len(), 1, "{folder}: {found:?}");
            assert_eq!(found[0].1, 2, "leaf and intermediate");
            let leaf = &scanned.found[0].certificate().certified_key().cert[0];
            assert_eq!(leaf.as_ref(), live, "{folder}");
        }
    }
}

/// A PEM file with one certificate.
struct CertificateFile<'a>(&'a [u8]);

impl CertificateFile<'_> {
    fn der(&self) -> Vec<u8> {
        let found = proxy::pem::certificates(self.0).unwrap();
        found[0].to_vec()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_of_caddy_is_imported() {
    if Command::new("caddy").arg("version").output().is_err() {
        return skip("caddy is not installed");
    }
    let pebble = Pebble::start(PebbleOptions::trusting()).await;
    let dir = TempDir::new().unwrap();
    let (http, https) = (Reservation::new(), Reservation::new());
    let root = dir.path().join("api.pem");
    std::fs::write(&root, pebble.root_pem()).unwrap();
    let file = dir.path().join("Caddyfile");
    let text = format!(
        "{{\n admin off\n storage file_system {}\n acme_ca {}\n acme_ca_root {}\n http_port {}\n https_port {}\n}}\n{NAME} {{\n respond ok\n}}\nlocalhost {{\n respond ok\n tls internal\n}}\n",
        dir.path().join("data").display(),
        pebble.directory_url(),
        root.display(),
        http.address().port(),
        https.address().port(),
    );
    std::fs::write(&file, text).unwrap();
    drop((http, https));
    let mut caddy = Command::new("caddy")
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&file)
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let data = dir.path().join("data");
    let deadline = Instant::now() + LIMIT;
    let found = loop {
        // The folder has certificates one after the other.
        let found = scan(&data).map(|scanned| scanned.found).unwrap_or_default();
        if !found.is_empty() || Instant::now() > deadline {
            break found;
        }
        sleep(Duration::from_millis(100)).await;
    };
    caddy.kill().unwrap();
    caddy.wait().unwrap();

    let [found] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(found.names()[0].to_string(), NAME);
    assert_eq!(found.certificate().certified_key().cert.len(), 2);
}
