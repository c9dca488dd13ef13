//! What the service manager is told, and what its journal gets.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::harness::admin::run;
use crate::harness::deadline::soon;
use crate::harness::proxy::{ProxySetup, command};

const SITE: &str = "[sites]\nlocalhost = { respond = { body = \"hello\" } }\n";

/// The socket at which systemd listens.
struct ServiceManager {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: TempDir,
}

impl ServiceManager {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("notify");
        Self {
            socket: UnixDatagram::bind(&path).unwrap(),
            path,
            _dir: dir,
        }
    }

    /// Returns the next message that is not for the watchdog.
    async fn told(&self) -> String {
        loop {
            let told = self.next().await;
            if told != "WATCHDOG=1\n" {
                return told;
            }
        }
    }

    async fn next(&self) -> String {
        let mut message = [0; 1000];
        let len = soon(self.socket.recv(&mut message)).await.unwrap();
        String::from_utf8(message[..len].to_vec()).unwrap()
    }

    fn setup(&self) -> ProxySetup {
        let setup = ProxySetup::new().proxyfile(SITE);
        setup.env("NOTIFY_SOCKET", self.path.to_str().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_is_told_of_readiness_reloads_and_the_end() {
    let manager = ServiceManager::new();
    let mut proxy = manager.setup().start().await;
    assert_eq!(manager.told().await, "READY=1\n");

    for text in [SITE, "emial = 1\n"] {
        proxy.file("Proxyfile", text);
        proxy.signal(Signal::HUP);
        let told = manager.told().await;
        let since = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(since.unwrap().trim_end().parse::<u64>().unwrap() > 0);
        // Also after a reload that is refused: the proxy serves.
        assert_eq!(manager.told().await, "READY=1\n");
    }

    proxy.signal(Signal::TERM);
    assert_eq!(
        manager.told().await,
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=50000000\n"
    );
    assert!(proxy.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_is_told_of_the_process_that_takes_over() {
    let manager = ServiceManager::new();
    let mut proxy = manager.setup().start().await;
    assert_eq!(manager.told().await, "READY=1\n");
    for _ in 0..2 {
        let pid = proxy.upgrade().await;
        let told = format!("MAINPID={}\n", pid.as_raw_nonzero());
        assert_eq!(manager.told().await, told);
    }
    // The last one speaks for itself now.
    assert_eq!(run(&proxy.data(), &["reload"]).await.code, 0);
    assert!(manager.told().await.starts_with("RELOADING=1\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_is_told_also_after_an_upgrade() {
    let manager = ServiceManager::new();
    let setup = manager.setup().env("WATCHDOG_USEC", "300000");
    let mut proxy = setup.start().await;
    for _ in 0..3 {
        soon(async { while manager.next().await != "WATCHDOG=1\n" {} }).await;
    }
    proxy.upgrade().await;
    assert!(proxy.first_ended().await.success());
    // Those of the first process are over.
    let mut message = [0; 1000];
    while manager.socket.try_recv(&mut message).is_ok() {}
    assert_eq!(manager.next().await, "WATCHDOG=1\n");
}

#[test]
fn the_unit_is_exposed_to_little() {
    let program = "/usr/bin/systemd-analyze";
    if !std::path::Path::new(program).exists() {
        return crate::harness::skip::skip("systemd-analyze is not installed");
    }
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/proxy.service");
    // Fails above an exposure of 2.0.
    let judged = std::process::Command::new(program)
        .args([
            "security",
            "--offline=true",
            "--threshold=20",
            "--no-pager",
            unit,
        ])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{output}{judged:?}");
    assert!(
        output.contains("Overall exposure level for proxy.service"),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_gets_a_priority_with_each_line_and_no_time() {
    for format in ["text", "json"] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let meta = log.as_file().metadata().unwrap();
        let stream = format!("{}:{}", meta.dev(), meta.ino());
        let setup = ProxySetup::new()
            .proxyfile(SITE)
            .args(["--log-format", format]);
        let setup = setup.stderr(log.reopen().unwrap().into());
        let mut proxy = setup.env("JOURNAL_STREAM", &stream).start().await;
        proxy.signal(Signal::TERM);
        assert!(proxy.ended().await.success());

        let lines = std::fs::read_to_string(log.path()).unwrap();
        assert!(lines.lines().count() > 2, "{lines}");
        for line in lines.lines() {
            let (priority, rest) = line.split_at(3);
            assert!(["<3>", "<4>", "<6>"].contains(&priority), "{line}");
            match format {
                "text" => assert!(rest.trim_start().starts_with(char::is_alphabetic), "{line}"),
                _ => assert!(rest.starts_with('{'), "{line}"),
            }
        }
        assert!(lines.contains("<6>"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_gets_each_event_once_and_the_reason_of_a_failed_start_as_an_error() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let busy = format!("metrics = \"{taken}\"\n{SITE}");
    for (text, format, part) in [
        (SITE, "text", "INFO listening"),
        ("emial = \"a\"\n[sites]\n", "text", "unknown key `emial`"),
        (&*busy, "text", "metrics cannot be served on"),
        (&*busy, "json", "metrics cannot be served on"),
    ] {
        // Given a proxy whose standard output and standard error are read by the journal.
        let setup = ProxySetup::new();
        let file = setup.file("Proxyfile", text);
        let log = tempfile::NamedTempFile::new().unwrap();
        let meta = log.as_file().metadata().unwrap();
        let mut starting = command();
        starting
            .args(["run", "--log-format", format, "--config"])
            .arg(file)
            .args(["--listen-http", &setup.http().to_string()])
            .args(["--listen-https", &setup.https().to_string()])
            .args(["--storage", &format!("file:{}", setup.data().display())])
            .env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()))
            .stdout(log.as_file().try_clone().unwrap())
            .stderr(log.as_file().try_clone().unwrap());
        let mut child = starting.kill_on_drop(true).spawn().unwrap();
        // When it has started, or has failed to.
        let lines = || std::fs::read_to_string(log.path()).unwrap();
        soon(async {
            while !lines().contains(part) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let is_started = text == SITE;
        if is_started {
            let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
            rustix::process::kill_process(pid, Signal::TERM).unwrap();
        }
        let ended = soon(child.wait()).await.unwrap();
        assert_eq!(ended.success(), is_started);
        // Then that is one line, with its priority.
        let lines = lines();
        assert_eq!(lines.matches(part).count(), 1, "{lines}");
        let line = lines.lines().find(|line| line.contains(part)).unwrap();
        let priority = if is_started { "<6>" } else { "<3>" };
        assert!(line.starts_with(priority), "{lines}");
        assert!(!lines.contains("ready http="), "{lines}");
        assert_eq!(format == "json", line[3..].starts_with('{'), "{line}");
    }
}
