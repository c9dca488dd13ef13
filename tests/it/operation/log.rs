//! The log: one line for each event, and colours on a terminal only.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::admin::run;
use crate::harness::backends::origin::refusing_address;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::deadline::soon;
use crate::harness::proxy::{ProxySetup, command};
use crate::harness::skip::skip;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_order_a_dead_backend_and_a_failed_reload_are_one_line_each() {
    for format in ["text", "json"] {
        // Given a CA that refuses a name, and a backend that does not answer.
        let setup = ProxySetup::new();
        let refusal = Reply::problem(403, "rejectedIdentifier", "not at this CA");
        let script = Script::new().always(Step::NewOrder, Fault::Answer(refusal));
        let ca = ScriptedCa::start(script, setup.http().port()).await;
        let dead = refusing_address().await.to_string();
        let text = |first: &str| {
            format!(
                "{first}[sites]\n\"www.example.org\" = {{ respond = 204 }}\n\
                 [sites.localhost]\nupstream = \"{dead}\"\nissuer = \"internal\"\nhealth = {{ path = \"/\", interval = \"1s\", fall = 1 }}\n"
            )
        };
        let setup = setup.proxyfile(&text("")).args(["--log-format", format]);
        let mut proxy = setup.ca(&ca.directory_url(), &ca.root_pem()).start().await;
        // When each of them has happened, and a reload has failed.
        proxy.logged("certificate not obtained").await;
        proxy.logged("backend is down").await;
        let line = proxy.reload(&text("emial = \"a\"\n")).await;
        assert!(line.contains("unknown key `emial`"), "{line}");
        proxy.signal(Signal::TERM);
        assert!(proxy.ended().await.success());
        // Then the log has one line about each.
        let log = proxy.log();
        for part in ["not at this CA", &dead, "unknown key `emial`"] {
            let lines = log.lines().filter(|line| line.contains(part));
            assert_eq!(lines.count(), 1, "{part}: {log}");
        }
        // And a program can read each line.
        for line in log.lines().filter(|_| format == "json") {
            let event: Value = serde_json::from_str(line).unwrap();
            for key in ["timestamp", "level", "message"] {
                assert!(event[key].is_string(), "{key}: {line}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_painted_on_a_terminal_only_and_not_with_no_color() {
    for (settings, is_painted) in [("", true), ("NO_COLOR=1", false), ("TERM=dumb", false)] {
        // Given a proxy whose standard error is a terminal.
        let setup = ProxySetup::new();
        let shell = format!(
            "{settings} {} run --config {} --storage file:{} --listen-http {} --listen-https {}",
            command().as_std().get_program().display(),
            setup
                .file("Proxyfile", "[sites]\nlocalhost = { respond = 204 }\n")
                .display(),
            setup.data().display(),
            setup.http(),
            setup.https(),
        );
        let started = tokio::process::Command::new("script")
            .args(["-qec", &shell, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut terminal) = started else {
            return skip("there is no `script`, which runs a command on a terminal");
        };
        // When it logs.
        let mut lines = BufReader::new(terminal.stdout.take().unwrap()).lines();
        let line = soon(async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                if line.contains("listening") {
                    return line;
                }
            }
        })
        .await;
        let told = run(&setup.data(), &["stop"]).await;
        assert_eq!(told.code, 0, "{}", told.err);
        soon(terminal.wait()).await.unwrap();
        // Then the line has colours, unless the settings say otherwise.
        assert_eq!(line.contains('\x1b'), is_painted, "{settings}: {line}");
    }
}
