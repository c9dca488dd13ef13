//! `proxy rehearse`: orders at Pebble in the place of the CA, whose limits and whose storage are left alone.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::admin::Outcome;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::deadline::soon;
use crate::harness::proxy::{ProxySetup, command};

const GOOD: &str = "good.example.org";
const BAD: &str = "bad.example.org";

/// A Proxyfile with two names, a CA that counts its orders, and a Pebble that can reach one of the names.
struct Scene {
    setup: ProxySetup,
    text: String,
    ca: ScriptedCa,
    pebble: Pebble,
    pebble_root: PathBuf,
}

impl Scene {
    async fn new() -> Self {
        let setup = ProxySetup::new().addresses_by_file();
        let port = setup.http().port();
        let ca = ScriptedCa::start(Script::new().without_validation(), port).await;
        let pebble = Pebble::start(PebbleOptions {
            tls_port: setup.https().port(),
            ..PebbleOptions::new(port)
        })
        .await;
        // Nothing listens at this address of the second name.
        let record = json!({ "host": BAD, "addresses": ["127.0.0.9"] });
        let url = format!("http://{}/add-a", pebble.dns_management());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let set = http
            .post(url)
            .body(record.to_string())
            .send()
            .await
            .unwrap();
        assert!(set.status().is_success());
        let root = setup.file("ca.pem", &ca.root_pem());
        let pebble_root = setup.file("pebble.pem", &pebble.root_pem());
        let text = format!(
            "storage = \"file:{}\"\npreflight = false\n\
             [[issuers]]\ndirectory = \"{}\"\nroot = \"{}\"\n\
             [sites]\n\"{GOOD}\" = {{ respond = 204 }}\n\"{BAD}\" = {{ respond = 204 }}\n\"app.localhost\" = {{ respond = 204, issuer = \"internal\" }}\n\
             [listen]\nhttp = \"{}\"\nhttps = \"{}\"\n",
            setup.data().display(),
            ca.directory_url(),
            root.display(),
            setup.http(),
            setup.https(),
        );
        Self {
            setup,
            text,
            ca,
            pebble,
            pebble_root,
        }
    }

    fn rehearsal(&self, directory: &str) -> tokio::process::Command {
        let file = self.setup.file("Proxyfile", &self.text);
        let mut command = command();
        command.arg("rehearse").arg("--config").arg(file);
        command.args(["--acme-directory", directory, "--acme-root"]);
        command.arg(&self.pebble_root).arg("--json");
        command
    }
}

/// The files below a folder with their content, without those that vanish meanwhile.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                match std::fs::read(entry.path()) {
                    Ok(content) => {
                        found.insert(entry.path(), content);
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                }
            }
        }
    }
    found
}

#[track_caller]
fn assert_rows(told: &Outcome) {
    assert_eq!((told.code, told.err.as_str()), (1, ""), "{}", told.out);
    let report: Value = serde_json::from_str(&told.out).unwrap();
    let row = |name: &str| {
        let rows = report["checks"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        let [status, sentence] = ["status", "sentence"].map(|key| row[key].as_str().unwrap());
        (status.to_owned(), sentence.to_owned())
    };
    let (status, sentence) = row(GOOD);
    assert_eq!(status, "ok", "{sentence}");
    assert!(sentence.starts_with("works: "), "{sentence}");
    let (status, sentence) = row(BAD);
    assert_eq!(status, "fail", "{sentence}");
    assert!(
        sentence.contains("the CA could not reach http://bad.example.org"),
        "{sentence}"
    );
    let (status, sentence) = row("app.localhost");
    assert_eq!(
        (status.as_str(), sentence.as_str()),
        ("ok", "nothing to order: the internal CA signs for it")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_running_proxy_the_command_answers_the_challenges_and_stores_nothing() {
    let scene = Scene::new().await;
    let directory = scene.pebble.directory_url().to_string();
    let told = scene.rehearsal(&directory).output().await.unwrap().into();
    assert_rows(&told);
    assert!(!scene.setup.data().exists());
    assert_eq!(scene.ca.count(Step::Directory), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_proxy_rehearses_beside_its_certificates() {
    // Given a proxy that has certificates for all three names.
    let scene = Scene::new().await;
    let directory = scene.pebble.directory_url().to_string();
    let mut rehearsal = scene.rehearsal(&directory);
    let data = scene.setup.data();
    let proxy = scene.setup.proxyfile(&scene.text).start().await;
    soon(scene.ca.counted(Step::Certificate, 2)).await;
    let is_settled = || {
        let files = files(&data);
        let count = |end: &str| files.keys().filter(|path| path.ends_with(end)).count();
        let is_pending = |path: &&PathBuf| {
            ["orders", "challenges", "locks"]
                .iter()
                .any(|folder| path.starts_with(data.join(folder)))
        };
        let pending = files.keys().filter(is_pending);
        count("certificate.pem") == 3 && count("renewal.json") == 3 && pending.count() == 0
    };
    soon(async {
        while !is_settled() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let before = files(&data);
    // When all names are rehearsed.
    let told = rehearsal.output().await.unwrap().into();
    // Then one works and one does not, and neither its storage nor its CA has seen it.
    assert_rows(&told);
    // The proxy itself may change the time of a renewal.
    let after = files(&data);
    let is_kept = |path: &PathBuf, text: &Vec<u8>| {
        let former = before.get(path);
        former == Some(text) || (former.is_some() && path.ends_with("renewal.json"))
    };
    let changed = after.iter().filter(|(path, text)| !is_kept(path, text));
    let changed: Vec<_> = changed.map(|(path, _)| path).collect();
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let gone: Vec<_> = gone.collect();
    assert!(
        changed.is_empty() && gone.is_empty(),
        "changed: {changed:?}, gone: {gone:?}"
    );
    assert_eq!(scene.ca.count(Step::NewOrder), 2);
    drop(proxy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_of_the_configuration_is_refused() {
    let scene = Scene::new().await;
    let directory = scene.ca.directory_url().to_string();
    let told: Outcome = scene.rehearsal(&directory).output().await.unwrap().into();
    assert_eq!(told.code, 1, "{}", told.out);
    assert!(
        told.err.contains("whose limits a rehearsal would use up"),
        "{}",
        told.err
    );
    assert_eq!(scene.ca.count(Step::Directory), 0);
}

#[tokio::test]
async fn a_ca_without_a_staging_directory_needs_one_to_be_given() {
    let setup = ProxySetup::new();
    let text = format!(
        "storage = \"file:{}\"\n[[issuers]]\ndirectory = \"https://ca.test/dir\"\n[sites]\n\"{GOOD}\" = {{ respond = 204 }}\n\
         [listen]\nhttp = \"{}\"\nhttps = \"{}\"\n",
        setup.data().display(),
        setup.http(),
        setup.https()
    );
    let file = setup.file("Proxyfile", &text);
    let told: Outcome = command()
        .arg("rehearse")
        .arg("--config")
        .arg(file)
        .output()
        .await
        .unwrap()
        .into();
    assert_eq!((told.code, told.err.as_str()), (3, ""));
    let expected = "NAME              RESULT  REASON\n\
        good.example.org  open    not rehearsed: its CA has no known staging directory; give one with --acme-directory URL\n";
    assert_eq!(told.out, expected);
}
