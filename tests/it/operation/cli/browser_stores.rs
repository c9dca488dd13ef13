//! `proxy trust` and a real store of certificates, as browsers have it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use super::machine::{Machine, said};

/// Runs the real certutil on a database.
fn certutil(args: &[&str], database: &Path) -> Output {
    std::process::Command::new("/usr/bin/certutil")
        .args(args)
        .arg("-d")
        .arg(format!("sql:{}", database.display()))
        .output()
        .unwrap()
}

/// Gives a folder and the files in it to a user and a group.
fn give(folder: &Path, owner: (u32, u32)) {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    for path in files.chain([folder.to_owned()]) {
        std::os::unix::fs::chown(path, Some(owner.0), Some(owner.1)).unwrap();
    }
}

#[tokio::test]
async fn chromiums_new_store_trusts_the_root_and_stays_its_owners() {
    // Given an empty store where Chromium has it since version 146. If the tests run as root, it belongs to another user.
    let machine = Machine::with_root();
    std::fs::set_permissions(machine.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let store = machine.folder("home/data/pki/nssdb");
    let made = certutil(&["-N", "--empty-password"], &store);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        give(&store, (1234, 5678));
        std::fs::set_permissions(machine.path("data"), PermissionsExt::from_mode(0o700)).unwrap();
    }
    std::os::unix::fs::symlink("/usr/bin/certutil", machine.path("bin/certutil")).unwrap();
    let trust = async |args: &[&str]| {
        let mut command = machine.command(args);
        command.env("XDG_DATA_HOME", machine.path("home/data"));
        let (_, said) = said(&command.output().await.unwrap());
        let prefix = format!(
            "browser store {}: the root certificate is ",
            store.display()
        );
        let rest = said
            .split_once(&prefix)
            .unwrap_or_else(|| panic!("{said}"))
            .1;
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let listed = || {
        let list = certutil(&["-L"], &store);
        let list = String::from_utf8(list.stdout).unwrap();
        let line = list
            .lines()
            .find(|line| line.starts_with("proxy-internal-ca-"));
        line.map(|line| line.split_whitespace().last().unwrap().to_owned())
    };

    // When the root is installed, the store trusts it for servers, and its owner keeps all files.
    assert_eq!(trust(&[]).await, "trusted");
    assert_eq!(listed().as_deref(), Some("C,,"));
    if is_root {
        for file in machine.files("home/data/pki/nssdb") {
            let meta = std::fs::metadata(&file).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (1234, 5678), "{}", file.display());
        }
    }

    // And when it is removed, it is gone.
    assert_eq!(trust(&["--remove"]).await, "removed");
    assert_eq!(listed(), None);
}
