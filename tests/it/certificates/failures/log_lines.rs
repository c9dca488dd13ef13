//! Lines of the log about a CA: short, one for each cause, and without secrets.

use super::ca_faults::{NAME, start};
use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::proxy::ProxySetup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_ca_says_a_line_of_the_log_is_short_and_ends_with_the_fix() {
    let setup = ProxySetup::new();
    let detail = format!("it began, {} and ended", "so it was; ".repeat(200));
    let refused = Reply::problem(403, "caa", &detail);
    let script = Script::new().always(Step::NewOrder, Fault::Answer(refused));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let mut proxy = start(setup, &ca).await;

    let line = proxy.logged("certificate not obtained").await;

    assert!(line.len() < 300, "{}: {line}", line.len());
    assert!(line.contains("it began, so it was"), "{line}");
    let fix = "; add the CA to the CAA record, or remove the record";
    assert!(line.ends_with(fix), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_that_is_down_is_named_in_the_log() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let (directory, root) = (ca.directory_url(), ca.root_pem());
    drop(ca);
    let mut proxy = setup
        .args(["--upstream", "localhost:1", "--domain", NAME])
        .ca(&directory, &root)
        .start()
        .await;
    let line = proxy.logged("certificate not obtained").await;
    for part in ["attempt=1", "retry_in="] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_that_is_down_is_one_line_for_many_names_with_their_number() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let (directory, root) = (ca.directory_url(), ca.root_pem());
    drop(ca);
    let names: Vec<_> = (0..30).map(|n| format!("n{n}.example.org")).collect();
    let domains = names.iter().flat_map(|name| ["--domain", name.as_str()]);
    let args: Vec<_> = ["--upstream", "localhost:1"]
        .into_iter()
        .chain(domains)
        .collect();

    let mut proxy = setup.args(args).ca(&directory, &root).start().await;

    let lines = proxy.logged_for_names("certificate not obtained", 30).await;
    assert!(lines.len() <= 3, "{lines:#?}");
    assert!(lines[0].contains("example.org, …"), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_and_no_token_is_ever_logged() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let app = App::start().await;
    let mut proxy = setup
        .args(["--upstream", &app.address.to_string(), "--domain", NAME])
        .args(["--log-level", "trace"])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;
    proxy.logged("certificate obtained").await;
    let keys = ["certificates", "accounts"].map(|folder| proxy.data().join(folder));
    let log = proxy.log();
    for line in keys.iter().flat_map(|folder| key_lines(folder)) {
        assert!(!log.contains(&line), "a line of a key is in the log");
    }
    assert!(!log.contains("PRIVATE KEY"));
    let tokens = ca.tokens();
    assert!(!tokens.is_empty());
    for token in tokens {
        let line = log.lines().find(|line| line.contains(&token));
        assert_eq!(line, None);
    }
}

/// Lines of all private keys below `dir`.
fn key_lines(dir: &std::path::Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            lines.extend(key_lines(&path));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let key = text.split_once("BEGIN PRIVATE KEY-----\n");
        lines.extend(key.iter().flat_map(|(_, key)| {
            key.lines()
                .take_while(|line| !line.starts_with('-'))
                .map(str::to_owned)
        }));
    }
    lines
}
