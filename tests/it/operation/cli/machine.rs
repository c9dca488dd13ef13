//! A fake machine for `proxy trust`, made of a folder and a few scripts.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use crate::harness::ca::pki::TestCa;
use crate::harness::proxy::command;

/// A fake machine below a folder: its trust stores, its programs, which note how they are called, a home, and
/// the data of a proxy.
pub(super) struct Machine(pub(super) TempDir);

impl Machine {
    pub(super) fn new() -> Self {
        let machine = Self(TempDir::new().unwrap());
        for folder in ["bin", "home", "data"] {
            machine.folder(folder);
        }
        machine
    }

    /// Such a machine with the root of an internal CA.
    pub(super) fn with_root() -> Self {
        let machine = Self::new();
        let folder = machine.folder("data/internal-ca");
        let pem = TestCa::root("proxy internal CA").pem();
        std::fs::write(folder.join("root.pem"), pem).unwrap();
        machine
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(super) fn folder(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A program that notes its arguments and then does what `script` says.
    pub(super) fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let calls = self.path("calls");
        let text = format!(
            "#!/bin/sh\necho \"{name} $*\" >> '{}'\n{script}\n",
            calls.display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Returns the calls of the programs since the last time.
    pub(super) fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = std::fs::remove_file(self.path("calls"));
        calls.lines().map(str::to_owned).collect()
    }

    /// Names of the files in a store.
    pub(super) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    pub(super) fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = command();
        command
            .arg("trust")
            .args(args)
            .arg("--root")
            .arg(self.0.path())
            .args([
                "--storage",
                &format!("file:{}", self.path("data").display()),
            ])
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"));
        command
    }

    pub(super) async fn trust(&self, args: &[&str]) -> (bool, String) {
        said(&self.command(args).output().await.unwrap())
    }
}

/// Runs a command; returns whether it succeeded, and its output.
pub(super) fn said(output: &Output) -> (bool, String) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}
