//! `proxy certs`: lists, shows, renews and revokes certificates, with a running proxy and without.

use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::admin::{Outcome, certs};
use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::{Proxy, ProxySetup, command};
use crate::harness::skip::skip;

const NAME: &str = "www.example.org";
const LOCAL: [&str; 4] = ["--upstream", "localhost:1", "--domain", "localhost"];

async fn succeed(data: &Path, args: &[&str]) -> String {
    let outcome = certs(data, args).await;
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    outcome.out
}

/// Value of a line of `show`.
fn fact<'a>(shown: &'a str, name: &str) -> &'a str {
    let line = shown.lines().find_map(|line| {
        let rest = line.strip_prefix("  ")?.strip_prefix(name)?;
        rest.starts_with("  ").then(|| rest.trim())
    });
    line.unwrap_or_else(|| panic!("no `{name}` in:\n{shown}"))
}

/// A proxy with one name, whose certificate comes from Pebble.
async fn with_pebble() -> (Proxy, Pebble) {
    let app = App::start().await;
    let ports = ProxyPorts::reserve();
    let pebble = Pebble::start(PebbleOptions::new(ports.http().port())).await;
    let mut proxy = ProxySetup::on(ports)
        .args(["--upstream", &app.address.to_string(), "--domain", NAME])
        .ca(&pebble.directory_url(), &pebble.root_pem())
        .start()
        .await;
    proxy.logged("certificate obtained").await;
    (proxy, pebble)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_listed_shown_and_renewed_while_the_proxy_runs() {
    let (proxy, pebble) = with_pebble().await;
    let client = Client::new(&pebble.issuance_root().await);
    let data = proxy.data();

    let listed = succeed(&data, &["list"]).await;
    assert!(listed.starts_with("NAME             ISSUER"), "{listed}");
    assert!(listed.contains("served until"), "{listed}");
    assert_eq!(listed.lines().count(), 2, "{listed}");

    let shown = succeed(&data, &["show", NAME]).await;
    let socket = data.join("admin.sock").display().to_string();
    assert!(
        shown.starts_with("www.example.org: served until 2"),
        "{shown}"
    );
    assert!(shown.contains(&format!("(from the running proxy on {socket})")));
    assert_eq!(fact(&shown, "names"), NAME);
    assert_eq!(fact(&shown, "key"), "ECDSA P-256");
    assert!(fact(&shown, "signed by").contains("Pebble"), "{shown}");
    assert_eq!(fact(&shown, "SHA-256").len(), 95);
    assert!(Path::new(fact(&shown, "file")).exists(), "{shown}");
    let serial = client.serial(proxy.https(), NAME).await.unwrap();

    let renewed = succeed(&data, &["renew", NAME]).await;
    let start = "www.example.org has a new certificate, which is valid until 2";
    assert!(renewed.starts_with(start), "{renewed}");
    assert_ne!(client.serial(proxy.https(), NAME).await.unwrap(), serial);
    let again = succeed(&data, &["show", NAME]).await;
    assert_ne!(fact(&again, "serial"), fact(&shown, "serial"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_is_replaced_while_the_proxy_runs() {
    let (proxy, pebble) = with_pebble().await;
    let client = Client::new(&pebble.issuance_root().await);
    let data = proxy.data();
    for reason in ["keyCompromise", "superseded"] {
        let serial = client.serial(proxy.https(), NAME).await.unwrap();
        let said = succeed(&data, &["revoke", NAME, "--reason", reason]).await;
        let start =
            "the certificate of www.example.org is revoked; its replacement is valid until 2";
        assert!(said.starts_with(start), "{said}");
        assert_ne!(client.serial(proxy.https(), NAME).await.unwrap(), serial);
        assert_eq!(pebble.revocation(&serial).await["Status"], "Revoked");
    }
    let rolled = succeed(&data, &["account", "rollover"]).await;
    assert!(
        rolled.starts_with("the account key is changed at "),
        "{rolled}"
    );
    let renewed = succeed(&data, &["renew", NAME]).await;
    assert!(renewed.contains("has a new certificate"), "{renewed}");

    let wrong = certs(&data, &["revoke", NAME, "--reason", "boredom"]).await;
    assert_eq!(wrong.code, 2);
    assert!(
        wrong
            .err
            .starts_with("`boredom` cannot be used: it is not a valid reason"),
        "{}",
        wrong.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_revoked_and_an_account_key_changed_without_a_proxy() {
    let (proxy, pebble) = with_pebble().await;
    let client = Client::new(&pebble.issuance_root().await);
    let serial = client.serial(proxy.https(), NAME).await.unwrap();
    let setup = proxy.stop().await;
    let (data, root) = (setup.data(), setup.file("ca.pem", &pebble.root_pem()));
    let root = root.display().to_string();
    let directory = pebble.directory_url();
    let ca = ["--acme-directory", directory.as_str(), "--acme-root", &root];

    let rolled = succeed(&data, &[&["account", "rollover"], ca.as_slice()].concat()).await;
    assert!(
        rolled.starts_with("the account key is changed at "),
        "{rolled}"
    );
    let revoke = [&["revoke", NAME, "--reason", "superseded"], ca.as_slice()].concat();
    let said = succeed(&data, &revoke).await;
    let sentence = "the certificate of www.example.org is revoked and removed; no proxy is running, so no replacement is ordered\n";
    assert_eq!(said, sentence);
    assert_eq!(pebble.revocation(&serial).await["Status"], "Revoked");
    let again = certs(&data, &revoke).await;
    let sentence = "the certificate of www.example.org is not revoked: no certificate is stored for www.example.org\n";
    assert_eq!((again.code, again.err.as_str()), (1, sentence));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_the_internal_ca_cannot_be_revoked() {
    let mut proxy = ProxySetup::new().args(LOCAL).start().await;
    proxy.logged("certificate obtained").await;
    let refused = certs(&proxy.data(), &["revoke", "localhost"]).await;
    assert_eq!(refused.code, 1);
    let start = "the certificate of localhost is not revoked: `internal` is not an ACME CA";
    assert!(refused.err.starts_with(start), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_proxy_certificates_are_listed_from_storage() {
    let mut proxy = ProxySetup::new().args(LOCAL).start().await;
    proxy.logged("certificate obtained").await;
    let setup = proxy.stop().await;
    let data = setup.data();

    let shown = succeed(&data, &["show", "localhost"]).await;
    let start = "localhost: stored and valid until 2";
    assert!(shown.starts_with(start), "{shown}");
    let source = format!(
        "(from {0}; no proxy listens on {0}/admin.sock)",
        data.display()
    );
    assert!(shown.contains(&source), "{shown}");

    let listed = succeed(&data, &["list", "--json"]).await;
    let line: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!(line["name"], "localhost");
    assert_eq!(line["state"], "stored");

    let missing = certs(&data, &["show", "a.example"]).await;
    assert_eq!(
        (missing.code, missing.err.as_str()),
        (1, "nothing is stored for a.example\n")
    );
}

#[tokio::test]
async fn commands_that_need_a_running_proxy_say_how_to_reach_one() {
    let setup = ProxySetup::new();
    let data = setup.data();
    let outcome = certs(&data, &["renew", NAME]).await;
    let expected = format!(
        "no proxy is running with the data directory {}, or it is stopping; start it, or give its admin socket with --admin PATH\n",
        data.display()
    );
    assert_eq!((outcome.code, outcome.err), (1, expected));

    let outcome = certs(&data, &["renew", NAME, "--admin", "/nowhere"]).await;
    let expected = "no proxy listens on the admin socket /nowhere; start it, or give the path of its socket with --admin PATH\n";
    assert_eq!((outcome.code, outcome.err.as_str()), (1, expected));
}

#[tokio::test]
async fn a_wrong_data_directory_is_an_error_and_not_created() {
    let setup = ProxySetup::new();
    let data = setup.data();
    let outcome = certs(&data, &["list"]).await;
    assert_eq!(outcome.code, 1);
    let start = format!("the data directory {} cannot be used", data.display());
    assert!(outcome.err.starts_with(&start), "{}", outcome.err);
    assert!(!data.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_shown_with_its_attempts_and_the_next_one() {
    // No CA listens at this address.
    let setup = ProxySetup::new();
    let root = setup.file("root.pem", &TestCa::root("a CA that is away").pem());
    let root = root.display().to_string();
    let mut proxy = setup
        .args(["--upstream", "localhost:1", "--domain", NAME])
        .args([
            "--acme-directory",
            "https://127.0.0.1:9/dir",
            "--acme-root",
            &root,
        ])
        .start()
        .await;
    proxy.logged("certificate not obtained").await;
    let data = proxy.data();

    let outcome = certs(&data, &["renew", NAME]).await;
    assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
    let start =
        "the certificate of www.example.org is not renewed: 2 attempts failed, the last with: ";
    assert!(outcome.err.starts_with(start), "{}", outcome.err);

    let live = succeed(&data, &["show", NAME]).await;
    let start =
        "www.example.org: no certificate after 2 failed attempts at 127.0.0.1; next attempt at 2";
    assert!(live.starts_with(start), "{live}");
    assert_eq!(fact(&live, "failures"), "2");
    assert!(fact(&live, "last error").contains("127.0.0.1:9"), "{live}");

    let _setup = proxy.stop().await;
    let stored = succeed(&data, &["show", NAME]).await;
    assert_eq!(stored.lines().next(), live.lines().next());
    assert_eq!(fact(&stored, "next attempt"), fact(&live, "next attempt"));
    let listed = succeed(&data, &["list"]).await;
    assert!(
        listed.contains("no certificate after 2 failed attempts"),
        "{listed}"
    );
}

#[tokio::test]
async fn an_invalid_name_is_bad_usage_with_and_without_a_proxy() {
    let proxy = ProxySetup::new().args(LOCAL).start().await;
    let data = proxy.data();
    let sentence = |outcome: Outcome| {
        assert_eq!(outcome.code, 2, "{}", outcome.err);
        assert!(
            outcome
                .err
                .ends_with("use a form like `www.example.org` or `*.example.org`\n"),
            "{}",
            outcome.err
        );
        outcome.err
    };
    let live = sentence(certs(&data, &["show", "no name"]).await);
    let _setup = proxy.stop().await;
    assert_eq!(sentence(certs(&data, &["show", "no name"]).await), live);
}

#[tokio::test]
async fn without_a_running_proxy_the_planned_names_come_from_the_proxyfile() {
    let setup = ProxySetup::new();
    let text = "storage = \"file:data\"\n[sites]\n\"www.example.org\" = \"localhost:1\"\n\"intranet.corp\" = \"localhost:1\"\n";
    let file = setup.file("Proxyfile", text);
    std::fs::create_dir_all(setup.data()).unwrap();
    for (name, part) in [
        ("www.example.org", "a running proxy requests it on its own"),
        ("intranet.corp", ".corp is reserved"),
    ] {
        let output = command()
            .args(["certs", "show", name, "--config"])
            .arg(&file)
            .output()
            .await
            .unwrap();
        let shown = Outcome::from(output).out;
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_directory_and_the_socket_come_from_the_proxyfile() {
    let setup = ProxySetup::new();
    let socket = setup.data().with_file_name("other.sock");
    let text = "storage = \"file:data\"\nadmin = \"other.sock\"\n[sites]\n\"localhost\" = \"localhost:1\"\n";
    let file = setup.file("Proxyfile", text);
    let mut proxy = setup.proxyfile(text).start().await;
    proxy.logged("certificate obtained").await;
    let output = command()
        .args(["certs", "show", "localhost", "--config"])
        .arg(file)
        .output()
        .await
        .unwrap();
    let shown = Outcome::from(output).out;
    let source = format!("(from the running proxy on {})", socket.display());
    assert!(shown.contains(&source), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_the_user_may_not_read_is_told_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let own = 65_534;
    if std::os::unix::fs::chown(dir.path(), Some(own), Some(own)).is_err() {
        return skip("only root can run a process as another user");
    }
    let data = dir.path().join("data");
    let listen = [
        "--listen-http",
        "127.0.0.1:0",
        "--listen-https",
        "127.0.0.1:0",
    ];
    let storage = format!("file:{}", data.display());
    let run = || {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_proxy"));
        command
            .args(LOCAL)
            .args(listen)
            .args(["--storage", &storage]);
        command.uid(own).gid(own).current_dir(dir.path());
        command
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        (process, lines)
    };
    let (process, mut lines) = run();
    line_with(&mut lines, "certificate obtained").await;
    drop(process);

    // Root has written the record.
    let record = data.join("certificates/internal/localhost/certificate.pem");
    std::os::unix::fs::chown(&record, Some(0), Some(0)).unwrap();
    let list = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_proxy"));
        command.args(["certs", "list", "--storage", &storage]);
        let output = std::os::unix::process::CommandExt::uid(&mut command, own).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let listed = list();
    assert!(listed.contains("may not read it"), "{listed}");

    let (_process, mut lines) = run();
    let line = line_with(&mut lines, "cannot be read; a new one is obtained").await;
    assert!(line.contains("names=localhost"), "{line}");
    line_with(&mut lines, "certificate obtained").await;
    assert!(!list().contains("may not read it"), "{}", list());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_record_of_attempts_is_named_and_hides_no_certificate() {
    let mut proxy = ProxySetup::new().args(LOCAL).start().await;
    proxy.logged("certificate obtained").await;
    let setup = proxy.stop().await;
    let data = setup.data();
    // A folder cannot be read as a record, also not by root.
    let record = data.join("attempts/localhost.json");
    std::fs::create_dir_all(&record).unwrap();

    for args in [&["list"][..], &["show", "localhost"]] {
        let told = succeed(&data, args).await;

        let record = record.display().to_string();
        assert!(
            told.contains(&format!("failed renewals are unknown: {record}")),
            "{told}"
        );
        assert!(told.contains("valid until"), "{told}");
        assert!(!told.contains("refused"), "{told}");
    }
}

type Lines = tokio::io::Lines<BufReader<tokio::process::ChildStderr>>;

/// Waits for a line of the log with this part.
async fn line_with(lines: &mut Lines, part: &str) -> String {
    let found = async {
        let mut log = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(part) {
                return line;
            }
            log.push_str(&format!("{line}\n"));
        }
        panic!("no `{part}` in:\n{log}")
    };
    soon(found).await
}
