//! `proxy status`: the state of a running proxy.

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::admin::{run, status};
use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::raw::ask;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup, command};
use crate::harness::skip::skip;

const SITES: [&str; 4] = [
    "--upstream",
    "localhost:1",
    "--domain",
    "localhost,a.localhost",
];

/// The page for people.
async fn page(proxy: &Proxy, args: &[&str]) -> String {
    let told = run(&proxy.data(), &[&["status"], args].concat()).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    told.out
}

#[tokio::test]
async fn status_is_short_for_people_and_json_for_programs() {
    let proxy = ProxySetup::new().args(SITES).start().await;
    soon(async { while status(&proxy).await["certificates"]["in_memory"] != 2 {} }).await;
    ask(
        proxy.http(),
        "GET / HTTP/1.1\r\nhost: b.localhost\r\nconnection: close\r\n\r\n",
    )
    .await;

    let told = page(&proxy, &[]).await;
    let (up, rest) = told.split_once('\n').unwrap();
    let version = concat!("s, version ", env!("CARGO_PKG_VERSION"));
    assert!(
        up.starts_with("up            ") && up.ends_with(version),
        "{up}"
    );
    let (http, https) = (proxy.http(), proxy.https());
    let process = format!(
        "\
listening     http {http}
              https {https}
              http3 {https}
sites         2
connections   0
handshakes    0 full, 0 resumed, 0 failed since the start
certificates  2 in memory

BACKEND "
    );
    assert!(rest.starts_with(&process), "{rest}");
    let refused = "\nrefused since the start\n  unknown-host  1\n";
    assert!(rest.ends_with(refused), "{rest}");
    for part in [
        "\nCERTIFICATE  ",
        "\nlocalhost    internal  20",
        "\na.localhost  internal  20",
    ] {
        assert!(rest.contains(part), "{part}: {rest}");
    }

    let json: Value = serde_json::from_str(&page(&proxy, &["--json"]).await).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["sites"], 2);
    assert_eq!(json["certificates"]["names"], 2);
    assert_eq!(json["refusals"][0]["reason"], "unknown-host");
    assert_eq!(json["site_traffic"][0]["site"], "localhost");
    assert_eq!(json["names"][0]["state"], "served");
}

#[tokio::test]
async fn open_connections_are_counted_until_they_are_closed() {
    let proxy = ProxySetup::new().args(SITES).start().await;
    let client = proxy.client();
    let first = client.connect(proxy.https(), "localhost").await.unwrap();
    let second = client.connect(proxy.https(), "localhost").await.unwrap();
    assert_eq!(status(&proxy).await["connections"], 2);
    let told = page(&proxy, &[]).await;
    assert!(told.contains("\nconnections   2: 2 https-http"), "{told}");
    drop((first, second));
    let emptied = async { while status(&proxy).await["connections"] != 0 {} };
    soon(emptied).await;
}

/// A proxy with two sites, each asked once. `a.localhost` has a backend that refuses connections, beside one that answers 500.
/// `b.localhost` has one that is well.
struct BackendsOut {
    proxy: Proxy,
    dead: SocketAddr,
    broken: Origin,
    app: App,
}

async fn backends_out() -> BackendsOut {
    let app = App::start().await;
    let broken = Origin::answering("HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n").await;
    let dead = refusing_address().await;
    let text = format!(
        "[sites.\"a.localhost\"]\nupstream = [\"{dead}\", \"{}\"]\nhealth = {{ path = \"/\", interval = \"50ms\" }}\n\
         [sites.\"b.localhost\"]\nupstream = \"{}\"\n",
        broken.address, app.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client();
    let both_down = async {
        loop {
            let status = status(&proxy).await;
            let backends = status["upstreams"][0]["backends"].as_array().unwrap();
            if backends.iter().all(|backend| backend["state"] == "down") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(both_down).await;
    client.get(proxy.https(), "a.localhost", "/").await;
    client.get(proxy.https(), "b.localhost", "/").await;
    soon(async { while status(&proxy).await["site_traffic"][1]["requests"] != 1 {} }).await;
    BackendsOut {
        proxy,
        dead,
        broken,
        app,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_which_backends_are_out_and_why() {
    let BackendsOut {
        proxy,
        dead,
        broken,
        app,
    } = backends_out().await;

    // When the operator asks, then the page names the backends and the reasons.
    let told = page(&proxy, &[]).await;
    let lines: Vec<_> = told.lines().collect();
    let line = |begin: &str| {
        let found = lines.iter().position(|line| line.starts_with(begin));
        found.unwrap_or_else(|| panic!("{begin}: {told}"))
    };
    let (one, other) = (
        line(&format!("  {dead}  ")),
        line(&format!("  {}  ", broken.address)),
    );
    assert!(
        lines[one].contains("  down  ") && lines[one].ends_with(" ago"),
        "{told}"
    );
    assert!(
        lines[one + 1].contains("health check got no response"),
        "{told}"
    );
    assert!(told.contains("refused"), "{told}");
    assert!(
        lines[other + 1].contains("health check got status 500"),
        "{told}"
    );
    assert!(
        lines[line(&format!("  {}  ", app.address))].contains("  up "),
        "{told}"
    );
    assert!(lines[line("a.localhost  ")].contains(" 100% "), "{told}");
    assert!(lines[line("b.localhost  ")].contains("  0%  "), "{told}");
    assert!(
        told.lines().all(|line| line.chars().count() <= 100),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_of_one_site_has_nothing_of_the_others_nor_of_the_process() {
    let BackendsOut {
        proxy, dead, app, ..
    } = backends_out().await;

    let told = page(&proxy, &["b.localhost"]).await;
    assert!(told.contains(&app.address.to_string()), "{told}");
    assert!(
        told.contains("\nb.localhost") && !told.contains("a.localhost"),
        "{told}"
    );
    assert!(
        !told.contains("listening") && !told.contains(&dead.to_string()),
        "{told}"
    );
    let json: Value =
        serde_json::from_str(&page(&proxy, &["a.localhost", "--json"]).await).unwrap();
    assert_eq!(json["site_traffic"].as_array().unwrap().len(), 1);
    assert_eq!(json["site_traffic"][0]["error_share"], 1.0);
    assert_eq!(json["upstreams"][0]["backends"][0]["state"], "down");
    let told = run(&proxy.data(), &["status", "c.localhost"]).await;
    let expected =
        "no site has or serves c.localhost; `proxy status` without a name shows the whole proxy\n";
    assert_eq!((told.code, told.err.as_str()), (1, expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_why_a_certificate_is_missing() {
    let app = App::start().await;
    let setup = ProxySetup::new();
    let refusal = Reply::problem(403, "rejectedIdentifier", "not at this CA");
    let script = Script::new().always(Step::NewOrder, Fault::Answer(refusal));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let mut proxy = setup
        .args(["--upstream", &app.address.to_string()])
        .args(["--domain", "www.example.org,localhost"])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;
    proxy.logged("certificate not obtained").await;
    soon(async {
        while status(&proxy).await["names"][0]["state"] != "backing-off" {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let told = page(&proxy, &[]).await;

    let (_, names) = told.split_once("\nCERTIFICATE").unwrap();
    let mut lines = names.lines().skip(1);
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("www.example.org  -") && first.ends_with("  backing-off"),
        "{told}"
    );
    let sentence: Vec<_> = lines
        .take_while(|line| line.starts_with("    "))
        .map(str::trim)
        .collect();
    assert!(sentence.join(" ").contains("not at this CA"), "{told}");
    let json: Value =
        serde_json::from_str(&page(&proxy, &["www.example.org", "--json"]).await).unwrap();
    assert_eq!(json["names"].as_array().unwrap().len(), 1);
    assert_eq!(json["names"][0]["needs_attention"], true);
}

#[tokio::test]
async fn status_is_painted_on_a_terminal_only() {
    let proxy = ProxySetup::new().args(SITES).start().await;
    soon(async { while status(&proxy).await["certificates"]["in_memory"] != 2 {} }).await;
    let plain = page(&proxy, &[]).await;
    assert!(!plain.contains('\x1b'), "{plain}");
    let on_terminal = async |settings: &str| {
        let program = command().as_std().get_program().to_owned();
        let shell = format!(
            "{settings} {} status --storage file:{}",
            program.display(),
            proxy.data().display()
        );
        let output = tokio::process::Command::new("script")
            .args(["-qec", &shell, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .output()
            .await;
        output
            .ok()
            .map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Some(painted) = on_terminal("").await else {
        skip("there is no `script`, which runs a command on a terminal");
        return;
    };
    assert!(painted.contains("\x1b[32mserved\x1b[0m"), "{painted}");
    for settings in ["NO_COLOR=1", "TERM=dumb"] {
        let told = on_terminal(settings).await.unwrap();
        assert!(told.contains("served") && !told.contains('\x1b'), "{told}");
    }
}

#[tokio::test]
async fn watch_shows_the_state_again_and_again() {
    let proxy = ProxySetup::new().args(SITES).start().await;
    let storage = format!("file:{}", proxy.data().display());
    let watch = |args: &[&str]| {
        let mut watching = command();
        watching.args(["status", "--watch", "--storage", &storage]);
        watching.args(args).stdout(Stdio::piped());
        watching.kill_on_drop(true).spawn().unwrap()
    };
    let mut json = watch(&["--json"]);
    let mut lines = BufReader::new(json.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = soon(lines.next_line()).await.unwrap().unwrap();
        let status: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(status["sites"], 2);
    }
    let mut plain = watch(&[]);
    let mut lines = BufReader::new(plain.stdout.take().unwrap()).lines();
    let mut pages = 0;
    soon(async {
        while pages < 2 {
            let line = lines.next_line().await.unwrap().unwrap();
            assert!(!line.contains('\x1b'), "{line}");
            pages += usize::from(line.starts_with("up "));
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_running_proxy_status_says_how_to_reach_one() {
    let setup = ProxySetup::new();
    let told = run(&setup.data(), &["status"]).await;
    let expected = format!(
        "no proxy is running with the data directory {}, or it is stopping; start it, or give its admin socket with --admin PATH\n",
        setup.data().display()
    );
    assert_eq!((told.code, told.err), (1, expected));
}
