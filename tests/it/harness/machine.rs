//! A copy of this machine in memory, which systemd runs: for tests that install packages and start services.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::skip::skip;

/// Time limit for the boot and for each script. Installations take long where other tests run beside them.
const PATIENCE: Duration = Duration::from_secs(180);

/// Namespaces of the copy. When it is gone, so is everything that was mounted, listened and written in it.
const NAMESPACES: [&str; 8] = [
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--net",
    "--uts",
    "--ipc",
    "--cgroup",
];

/// A running copy; dropping the value ends it.
pub(crate) struct Machine {
    /// `unshare`, whose only child is the copy's first process.
    _process: Child,
    init: String,
    mailbox: TempDir,
}

impl Machine {
    /// Boots a copy. Skips if this machine may not have one.
    pub(crate) async fn boot() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("only root can boot a copy of this machine");
            return None;
        }
        let mailbox = TempDir::new().unwrap();
        let notify = UnixDatagram::bind(mailbox.path().join("notify")).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine");
        let mut process = Command::new("unshare")
            .args(NAMESPACES)
            .arg(script)
            .arg(mailbox.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let has_ended = tokio::select! {
            told = timeout(PATIENCE, ready(&notify)) => {
                told.expect("systemd should start everything");
                false
            }
            ended = process.wait() => ended.is_ok(),
        };
        if has_ended {
            let output = process.wait_with_output().await.unwrap();
            let why = String::from_utf8_lossy(&output.stderr);
            skip(&format!("no copy of this machine boots: {}", why.trim()));
            return None;
        }
        let parent = process.id().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        Some(Self {
            _process: process,
            init: children.unwrap().trim().to_owned(),
            mailbox,
        })
    }

    /// The folder that the copy sees as `/mnt`.
    pub(crate) fn mailbox(&self) -> &Path {
        self.mailbox.path()
    }

    /// Runs a script of the shell in the copy. Fails the test if a command in it fails, else returns what it says.
    pub(crate) async fn run(&self, script: &str) -> String {
        let output = self.output(script).await;
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
        said.into_owned()
    }

    async fn output(&self, script: &str) -> Output {
        let mut command = Command::new("nsenter");
        command.kill_on_drop(true);
        command.args(["--target", &self.init, "--all", "--root", "--wd"]);
        // Without settings for the proxy.
        command.args([
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL=C",
        ]);
        command.args(["sh", "-ec", script]).stdin(Stdio::null());
        let ended = timeout(PATIENCE, command.output()).await;
        ended.expect(script).unwrap()
    }
}

/// Waits until systemd has started everything.
async fn ready(notify: &UnixDatagram) {
    let mut message = [0; 1000];
    loop {
        let len = notify.recv(&mut message).await.unwrap();
        if message[..len].starts_with(b"READY=1") {
            return;
        }
    }
}
