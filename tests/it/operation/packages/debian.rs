//! The Debian package: what is in it, and its life on a machine with systemd.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::machine::Machine;
use crate::harness::skip::skip;

const PROXY: &str = env!("CARGO_BIN_EXE_proxy");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn said(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    // Packing would take most of the time of these tests.
    command.env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    let output = command.args(args).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

/// Builds the package in this version into a folder, and returns its path. Skips where there are no Debian packages.
pub(super) fn package(folder: &Path, version: &str) -> Option<String> {
    if !Path::new("/usr/bin/dpkg-shlibdeps").exists() {
        skip("there is no dpkg-shlibdeps; install Debian's package dpkg-dev");
        return None;
    }
    let binary = folder.join("proxy");
    said("strip", &["-o", binary.to_str().unwrap(), PROXY]);
    let package = folder.join(format!("{version}.deb"));
    let package = package.to_str().unwrap().to_owned();
    let build = format!("{ROOT}/packaging/deb/build");
    said(&build, &[binary.to_str().unwrap(), &package, version]);
    Some(package)
}

/// Files of the package, each with its mode and owner.
const FILES: [(&str, &str); 13] = [
    ("-rwxr-xr-x root/root", "usr/bin/proxy"),
    ("-rw-r--r-- root/root", "etc/proxy/Proxyfile"),
    (
        "-rw-r--r-- root/root",
        "usr/lib/systemd/system/proxy.service",
    ),
    (
        "-rw-r--r-- root/root",
        "usr/lib/systemd/system/proxy.socket",
    ),
    ("-rw-r--r-- root/root", "usr/lib/sysusers.d/proxy.conf"),
    (
        "-rw-r--r-- root/root",
        "usr/share/bash-completion/completions/proxy",
    ),
    (
        "-rw-r--r-- root/root",
        "usr/share/fish/vendor_completions.d/proxy.fish",
    ),
    (
        "-rw-r--r-- root/root",
        "usr/share/zsh/vendor-completions/_proxy",
    ),
    ("-rw-r--r-- root/root", "usr/share/man/man1/proxy.1.gz"),
    (
        "-rw-r--r-- root/root",
        "usr/share/man/man1/proxy-certs-renew.1.gz",
    ),
    ("-rw-r--r-- root/root", "usr/share/doc/proxy/changelog.gz"),
    ("-rw-r--r-- root/root", "usr/share/doc/proxy/copyright"),
    (
        "-rw-r--r-- root/root",
        "usr/share/doc/proxy/third-party-licences.gz",
    ),
];

#[test]
fn the_package_brings_unit_user_configuration_completions_pages_and_licences() {
    let folder = TempDir::new().unwrap();
    let Some(package) = package(folder.path(), "1.2.3") else {
        return;
    };
    let field = |name| said("dpkg-deb", &["-f", &package, name]);
    assert_eq!(field("Version"), "1.2.3\n");
    let depends = field("Depends");
    for needed in ["libc6 (>= ", "ca-certificates", "systemd-sysusers"] {
        assert!(depends.contains(needed), "{depends}");
    }
    let listed = said("dpkg-deb", &["-c", &package]);
    for (mode, path) in FILES {
        let line = listed
            .lines()
            .find(|line| line.ends_with(&format!(" ./{path}")));
        assert!(
            line.is_some_and(|line| line.starts_with(mode)),
            "{path}: {line:?}"
        );
    }

    let root = folder.path().join("root");
    said("dpkg-deb", &["-x", &package, root.to_str().unwrap()]);
    let proxyfile = root.join("etc/proxy/Proxyfile");
    let proxyfile = proxyfile.to_str().unwrap();
    said(PROXY, &["check", "--config", proxyfile]);
    said(PROXY, &["fmt", "--check", proxyfile]);
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/proxy.service")).unwrap();
    assert!(unit.starts_with("[Unit]\n"), "{unit}");
    let licences = root.join("usr/share/doc/proxy/third-party-licences.gz");
    let licences = said("zcat", &[licences.to_str().unwrap()]);
    // One that is the project's choice, and one of the C code in a crate.
    for part in [
        "\nrustls 0.",
        "(aws-lc/LICENSE)",
        "Permission is hereby granted",
    ] {
        let part = part.trim_start_matches('(').trim_end_matches(')');
        assert!(licences.contains(part), "{part}");
    }
    assert!(
        !licences.contains("\nproptest "),
        "only what is in the binary"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installed_it_serves_upgraded_it_loses_no_request_and_purged_it_leaves_nothing() {
    let Some(machine) = Machine::boot().await else {
        return;
    };
    let Some(package) = package(machine.mailbox(), "1.0.0") else {
        return;
    };
    let newer = package_again(&package, machine.mailbox(), "1.0.1");
    let newest = package_again(&package, machine.mailbox(), "1.0.2");

    install(&machine, &package).await;
    is_served_by_its_user(&machine).await;
    a_changed_proxyfile_is_reloaded(&machine).await;
    an_upgrade_loses_no_request(&machine, &newer).await;
    an_upgrade_that_cannot_start_leaves_the_old_process(&machine, &newest).await;
    systemd_holds_the_ports_if_it_is_asked_to(&machine).await;
    removed_it_keeps_configuration_and_certificates(&machine).await;
    purged_it_leaves_nothing(&machine).await;
}

/// The same package with another version.
pub(super) fn package_again(package: &str, folder: &Path, version: &str) -> String {
    let tree = folder.join("tree");
    let tree = tree.to_str().unwrap();
    said("dpkg-deb", &["-R", package, tree]);
    let control = format!("{tree}/DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    fs::write(&control, text.replace("1.0.0", version)).unwrap();
    let again = folder.join(format!("{version}.deb"));
    let again = again.to_str().unwrap().to_owned();
    said("dpkg-deb", &["-b", tree, &again]);
    fs::remove_dir_all(tree).unwrap();
    again
}

fn dpkg_install(package: &str) -> String {
    let name = Path::new(package).file_name().unwrap().to_str().unwrap();
    // Without waiting for the disk: everything is in memory.
    format!("dpkg --force-unsafe-io --force-confold --install /mnt/{name}")
}

async fn install(machine: &Machine, package: &str) {
    machine.run(&dpkg_install(package)).await;
    machine
        .run("systemctl is-active proxy && systemctl is-enabled proxy")
        .await;
    machine.run("! systemctl is-enabled proxy.socket").await;
}

async fn is_served_by_its_user(machine: &Machine) {
    let body = machine.run("curl -sfk https://localhost").await;
    assert!(body.starts_with("proxy is installed."), "{body}");
    let users = machine.run("ps -o user= -C proxy").await;
    assert_eq!(users, "_proxy\n");
    let modes = machine
        .run("stat -c '%U:%G %a' /etc/proxy/Proxyfile /var/lib/proxy/")
        .await;
    assert_eq!(modes, "root:_proxy 640\n_proxy:_proxy 700\n");
    let status = machine.run("cd / && proxy status").await;
    assert!(status.contains("https [::]:443"), "{status}");
    machine.run("man -w proxy proxy-status").await;
    machine.run("dpkg --verify proxy").await;
}

async fn a_changed_proxyfile_is_reloaded(machine: &Machine) {
    let site = r#""a.localhost" = { respond = { body = "mine" } }"#;
    machine
        .run(&format!(
            "echo '{site}' >> /etc/proxy/Proxyfile && systemctl reload proxy"
        ))
        .await;
    assert_eq!(machine.run("curl -sfk https://a.localhost").await, "mine");
}

async fn main_pid(machine: &Machine) -> String {
    machine.run("systemctl show -P MainPID proxy").await
}

/// Asks for a page again and again while a command runs, and says for each request that got no answer how it failed.
fn under_requests(command: &str) -> String {
    format!(
        "rm -f /tmp/enough; \
         (until [ -e /tmp/enough ]; do curl -sSfk https://a.localhost 2>&1 >/dev/null || true; done) >/tmp/lost & \
         {command}; touch /tmp/enough; wait; cat /tmp/lost >&2; [ ! -s /tmp/lost ]"
    )
}

async fn an_upgrade_loses_no_request(machine: &Machine, package: &str) {
    let before = main_pid(machine).await;
    let told = machine.run(&under_requests(&dpkg_install(package))).await;
    assert!(told.contains("upgraded: process "), "{told}");
    let after = main_pid(machine).await;
    assert_ne!(before, after);
    let state = machine
        .run("systemctl show -p ActiveState -p NRestarts proxy")
        .await;
    assert_eq!(state, "NRestarts=0\nActiveState=active\n");
    // The Proxyfile is the administrator's.
    assert_eq!(machine.run("curl -sfk https://a.localhost").await, "mine");
    let modes = machine.run("stat -c '%U:%G %a' /etc/proxy/Proxyfile").await;
    assert_eq!(modes, "root:_proxy 640\n");
}

async fn an_upgrade_that_cannot_start_leaves_the_old_process(machine: &Machine, package: &str) {
    let before = main_pid(machine).await;
    machine
        .run("sed -i '1i emial = 1' /etc/proxy/Proxyfile")
        .await;
    let told = machine.run(&under_requests(&dpkg_install(package))).await;
    assert!(told.contains("unknown key `emial`"), "{told}");
    assert!(
        told.contains("The version that ran before goes on."),
        "{told}"
    );
    assert_eq!(main_pid(machine).await, before);
    machine
        .run("sed -i '/emial/d' /etc/proxy/Proxyfile && cd / && proxy upgrade")
        .await;
    assert_ne!(main_pid(machine).await, before);
}

async fn systemd_holds_the_ports_if_it_is_asked_to(machine: &Machine) {
    machine
        .run("systemctl stop proxy && systemctl enable --now proxy.socket && systemctl start proxy")
        .await;
    machine
        .run(&under_requests("systemctl restart proxy"))
        .await;
    machine.run("systemctl is-active proxy proxy.socket").await;
}

async fn removed_it_keeps_configuration_and_certificates(machine: &Machine) {
    machine.run("dpkg --remove proxy").await;
    machine
        .run("! systemctl is-active proxy proxy.socket && ! pgrep -x proxy")
        .await;
    machine
        .run("test -e /etc/proxy/Proxyfile -a -e /var/lib/proxy/internal-ca/root.pem")
        .await;
}

async fn purged_it_leaves_nothing(machine: &Machine) {
    machine.run("dpkg --purge proxy").await;
    let left = machine
        .run("find /etc /usr /var -xdev -cnewer /mnt/notify -name '*proxy*' ! -path '*/journal/*'")
        .await;
    assert_eq!(left, "");
    machine.run("! dpkg-query --status proxy 2>&1").await;
    machine.run("systemctl is-system-running").await;
}
