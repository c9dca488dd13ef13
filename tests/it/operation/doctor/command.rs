//! `proxy doctor` as users run it: its output, its exit codes, and what only a whole process can show.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::admin::{Outcome, status};
use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::pki::TestCa;
use crate::harness::deadline::soon;
use crate::harness::proxy::{ProxySetup, command};

/// A Proxyfile on two free ports, with this text of its own.
fn proxyfile(setup: &ProxySetup, text: &str) -> String {
    format!(
        "storage = \"file:{}\"\n{text}[listen]\nhttp = \"{}\"\nhttps = \"{}\"\n",
        setup.data().display(),
        setup.http(),
        setup.https()
    )
}

async fn doctor(file: &Path, args: &[&str]) -> Outcome {
    let output = command()
        .arg("doctor")
        .args(args)
        .arg("--config")
        .arg(file)
        .output();
    output.await.unwrap().into()
}

fn checks<'a>(report: &'a Value, check: &str) -> Vec<&'a Value> {
    let all = report["checks"].as_array().unwrap().iter();
    all.filter(|it| it["check"] == check).collect()
}

#[tokio::test]
async fn a_local_site_is_well_with_and_without_a_running_proxy() {
    let app = App::start().await;
    let setup = ProxySetup::new().addresses_by_file();
    let sites = format!("[sites]\n\"app.localhost\" = \"{}\"\n", app.address);
    let text = proxyfile(&setup, &sites);
    let file = setup.file("Proxyfile", &text);

    let alone = doctor(&file, &[]).await;
    assert_eq!((alone.code, alone.err.as_str()), (0, ""), "{}", alone.out);
    for part in [
        &format!("ok    configuration  {} is valid\n", file.display()),
        "this command listens in its place",
        "\napp.localhost\n",
        &format!("backend        {} answers with status 200", app.address),
        "\nall is well\n",
    ] {
        assert!(alone.out.contains(part), "{part}: {}", alone.out);
    }

    let mut proxy = setup.proxyfile(&text).start().await;
    proxy.logged("listening").await;
    soon(async { while status(&proxy).await["certificates"]["in_memory"] != 1 {} }).await;
    let running = doctor(&file, &["--json"]).await;
    assert_eq!(
        (running.code, running.err.as_str()),
        (0, ""),
        "{}",
        running.out
    );
    let report: Value = serde_json::from_str(&running.out).unwrap();
    let process = checks(&report, "process")[0]["sentence"].as_str().unwrap();
    assert!(process.contains("makes the checks"), "{process}");
    assert_eq!(checks(&report, "backend")[0]["name"], "app.localhost");
    let handshake = checks(&report, "handshake");
    assert_eq!(handshake[0]["status"], "ok", "{}", running.out);
    let in_effect = format!("the running proxy has {} in effect", file.display());
    assert_eq!(
        checks(&report, "configuration")[1]["sentence"],
        in_effect,
        "{}",
        running.out
    );

    // When the file is changed, and not loaded.
    let changed = text.replace("[sites]", "email = \"a@b.test\"\n[sites]");
    proxy.file("Proxyfile", &changed);
    let told = doctor(&file, &[]).await;
    assert_eq!(told.code, 3, "{}", told.out);
    let part = format!(
        "\nwarn  configuration  the running proxy has another version of {}, which differs in email and issuers; run `proxy reload`\n",
        file.display()
    );
    assert!(told.out.contains(&part), "{}", told.out);
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_is_a_failure_with_all_reasons() {
    let setup = ProxySetup::new();
    let file = setup.file(
        "Proxyfile",
        "storage = \"file:/x\"\nlimit = 1\n[sites]\n\"a b\" = \"x\"\n",
    );
    let told = doctor(&file, &["--json"]).await;
    assert_eq!(told.code, 1);
    let report: Value = serde_json::from_str(&told.out).unwrap();
    assert!(checks(&report, "configuration").len() > 1, "{}", told.out);

    let told = doctor(Path::new("/nowhere/Proxyfile"), &[]).await;
    assert_eq!(told.code, 1);
    assert!(
        told.out.starts_with("fail  configuration  "),
        "{}",
        told.out
    );

    let told: Outcome = command()
        .args(["doctor", "--unknown"])
        .output()
        .await
        .unwrap()
        .into();
    assert_eq!(told.code, 2);
}

#[tokio::test]
async fn a_wrong_address_in_dns_is_a_warning_where_the_ca_is_a_private_one() {
    // Given a name that points to nowhere by the DNS server of Pebble.
    let app = App::start().await;
    let setup = ProxySetup::new();
    let pebble = Pebble::start(PebbleOptions::new(setup.http().port())).await;
    let record = json!({ "host": "www.example.org", "addresses": ["192.0.2.5"] });
    let url = format!("http://{}/add-a", pebble.dns_management());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let set = http
        .post(url)
        .body(record.to_string())
        .send()
        .await
        .unwrap();
    assert!(set.status().is_success());
    let root = setup.file("ca.pem", &pebble.root_pem());
    let text = format!(
        "resolvers = [\"{}\"]\n[[issuers]]\ndirectory = \"{}\"\nroot = \"{}\"\n[sites]\n\"www.example.org\" = \"{}\"\n",
        pebble.dns(),
        pebble.directory_url(),
        root.display(),
        app.address
    );
    let file = setup.file("Proxyfile", &proxyfile(&setup, &text));
    // When the machine does not reach that address, then this is a warning, and the exit code is that of warnings.
    let told = doctor(&file, &["www.example.org"]).await;
    let part = "A points to 192.0.2.5, which is not reachable on port 80 from here";
    assert!(told.out.contains(part), "{}", told.out);
    assert!(told.out.contains("\nok    ca"), "{}", told.out);
    assert_eq!(told.code, 3, "{}", told.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_not_complete_is_a_warning() {
    // Given a site whose own file lacks the intermediate.
    let intermediate = TestCa::root("test").intermediate("an intermediate");
    let (leaf, key) = intermediate.loopback();
    let setup = ProxySetup::new().addresses_by_file();
    setup.file("cert.pem", &leaf.pem());
    setup.file("key.pem", &key.serialize_pem());
    let site =
        "[sites.localhost]\nrespond = 204\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n";
    let text = proxyfile(&setup, site);
    let file = setup.file("Proxyfile", &text);
    let proxy = setup.proxyfile(&text).start().await;
    let told = doctor(&file, &[]).await;
    let part = "\nwarn  handshake      its chain is incomplete: the certificate of CN=an intermediate is missing";
    assert!(told.out.contains(part), "{}", told.out);
    assert_eq!(told.code, 3, "{}", told.out);
    drop(proxy);
}

#[tokio::test]
async fn a_low_limit_of_open_files_is_a_warning() {
    let setup = ProxySetup::new();
    let file = setup.file(
        "Proxyfile",
        &proxyfile(&setup, "[sites]\nlocalhost = { respond = 204 }\n"),
    );
    let script = "ulimit -n 400 && exec \"$0\" doctor --config \"$1\"";
    let mut limited = Command::new("sh");
    limited
        .args(["-c", script, env!("CARGO_BIN_EXE_proxy")])
        .arg(file);
    let output: Output = limited.env_remove("PROXY_STORAGE").output().await.unwrap();
    let told = Outcome::from(output);
    let part = "\nwarn  open files     the limit of open files allows ";
    assert!(told.out.contains(part), "{} {}", told.out, told.err);
    assert!(told.out.contains("LimitNOFILE="), "{}", told.out);
    assert_eq!(told.code, 3, "{}", told.out);
}

/// Runs the command with a file system of this type for its data directory, after `preparation`.
async fn with_disk(options: &str, preparation: &str, told: impl Fn(&str)) {
    let setup = ProxySetup::new();
    let data = setup.data();
    std::fs::create_dir(&data).unwrap();
    let file = setup.file(
        "Proxyfile",
        &proxyfile(&setup, "[sites]\n\"app.localhost\" = { respond = 204 }\n"),
    );
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs '{0}' && cd '{0}' && {preparation} exec \"$0\" doctor --config '{1}'",
        data.display(),
        file.display()
    );
    let mut unshared = Command::new("unshare");
    unshared.args(["-rm", "sh", "-c", &script, env!("CARGO_BIN_EXE_proxy")]);
    let output: Output = unshared.env_remove("PROXY_STORAGE").output().await.unwrap();
    let outcome = Outcome::from(output);
    assert_eq!(outcome.code, 1, "{} {}", outcome.out, outcome.err);
    told(&outcome.out);
}

#[tokio::test]
async fn a_full_disk_is_a_failure() {
    let fill = "mkdir tmp && head -c 1m /dev/zero > zeros 2>/dev/null;";
    with_disk("size=64k", fill, |out| {
        assert!(
            out.contains("fail  storage        nothing can be written to"),
            "{out}"
        );
        assert!(out.contains("fail  disk space     the disk of"), "{out}");
        assert!(out.contains("free space on its disk"), "{out}");
    })
    .await;
}

#[tokio::test]
async fn a_storage_that_cannot_be_written_is_a_failure() {
    with_disk("ro", "", |out| {
        let part = "mount it writable";
        assert!(out.contains("fail  storage") && out.contains(part), "{out}");
    })
    .await;
}
