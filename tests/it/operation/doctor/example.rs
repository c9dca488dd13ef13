//! The examples in docs/operations.md: `proxy doctor` and `proxy rehearse` still say what they show.

use std::collections::BTreeSet;

use proxy::admin::{CheckReport, CheckStatus, RehearsalCa, RehearsalRequest};
use proxy::app;

use super::scene::{NAME, Scene, THERE, check};
use crate::harness::admin::Outcome;
use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Script, ScriptedCa};
use crate::harness::deadline::soon;
use crate::harness::proxy::{ProxySetup, command};

/// Returns a line with its names, paths, addresses, numbers and times left out.
fn shape(line: &str) -> String {
    let is_sample = |word: &str| {
        let name = word.trim_end_matches([',', ';']);
        let is_other = matches!(
            name,
            "letsencrypt" | "letsencrypt-staging" | "GiB" | "MiB" | "KiB"
        );
        is_other || word.contains(|c: char| c.is_ascii_digit() || c == '/')
    };
    let words = line.split_whitespace();
    let words = words.map(|word| if is_sample(word) { "_" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn shapes(report: &CheckReport) -> impl Iterator<Item = String> {
    report.checks.iter().map(|check| {
        let status = match check.status {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "fail",
        };
        shape(&format!("{status} {} {}", check.check, check.sentence))
    })
}

/// Returns a section of the page.
fn section(title: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once(&format!("\n## {title}\n")).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    section.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_the_example_is_one_that_the_command_prints() {
    let mut known = BTreeSet::new();
    // Given what the command prints about a running proxy.
    let app = App::start().await;
    let setup = ProxySetup::new();
    let text = format!("[sites]\n\"app.localhost\" = \"{}\"\n", app.address);
    let file = setup.file("Proxyfile", &text);
    let (http, https) = (setup.http().to_string(), setup.https().to_string());
    let storage = format!("file:{}", setup.data().display());
    let proxy = setup.proxyfile(&text).start().await;
    let told = command()
        .args(["doctor", "--listen-http", &http, "--listen-https", &https])
        .args(["--storage", &storage, "--config"])
        .arg(file)
        .output();
    let told = Outcome::from(soon(told).await.unwrap());
    known.extend(told.out.lines().map(shape));
    drop(proxy);
    // And the findings about a name with a certificate of a CA, and about one whose backend is dead.
    let mut scene = Scene::new().await;
    let app = scene.start().await;
    known.extend(shapes(&check(&app, &[]).await));
    app.stop(None).await;
    let mut scene = Scene::new().await;
    scene.forward_to(&format!("\"{}\"", refusing_address().await));
    known.extend(shapes(&scene.alone().await));

    let section = section("Doctor");
    let lines = section.lines().filter(|line| {
        let starts = ["    ok ", "    warn ", "    fail "];
        starts.iter().any(|start| line.starts_with(start))
    });
    let lines: Vec<_> = lines.collect();
    assert!(lines.len() > 10, "{lines:?}");
    let stale = lines.iter().filter(|line| !known.contains(&shape(line)));
    let stale: Vec<_> = stale.collect();
    assert!(stale.is_empty(), "{stale:#?} is not in {known:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_of_the_rehearsal_is_one_that_the_command_prints() {
    // Given a name that points here, and one that points to another machine.
    let mut scene = Scene::new().await;
    scene.dns.a("blog.example.org", THERE);
    let port = scene.http().port();
    let stranger = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let _stranger = Origin::answering_on((THERE, port).into(), stranger).await;
    let site = |name: &str| format!("\"{name}\" = {{ respond = 204 }}\n");
    scene.serve(&[NAME, "blog.example.org"].map(site).concat());

    // When they are rehearsed at another CA.
    let ca = ScriptedCa::start(Script::new().caa_identities(&["ca.example"]), port).await;
    let dir = tempfile::TempDir::new().unwrap();
    let root = dir.path().join("ca.pem");
    std::fs::write(&root, ca.root_pem()).unwrap();
    scene.release();
    let request = RehearsalRequest {
        names: Vec::new(),
        ca: Some(RehearsalCa {
            directory: ca.directory_url().to_string(),
            root: Some(root),
        }),
    };
    let rehearsal = app::rehearse_standalone(&scene.config, request);
    let report = soon(Box::pin(rehearsal)).await.unwrap();

    // Then the page shows the same results, and that of a local name besides, for which nothing is ordered.
    let rows = report.checks.iter().map(|check| {
        let result = match check.status {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "open",
            CheckStatus::Fail => "fails",
        };
        shape(&format!("{result} {}", check.sentence))
    });
    let known: BTreeSet<_> = rows.collect();
    let section = section("Rehearsal");
    let table = section
        .lines()
        .skip_while(|line| !line.starts_with("    NAME "));
    let table = table.skip(1).take_while(|line| line.starts_with("    "));
    let shown: BTreeSet<_> = table
        .filter(|line| !line.contains("nothing to order"))
        .map(|line| shape(line.trim().split_once(' ').unwrap().1))
        .collect();
    assert_eq!(shown, known);
}
