//! `proxy trust`: the root in the trust stores of a fake machine.

use std::os::unix::fs::PermissionsExt;

use super::machine::{Machine, said};

const DEBIAN: &str = "usr/local/share/ca-certificates";
const FEDORA: &str = "etc/pki/ca-trust/source/anchors";
const ARCH: &str = "etc/ca-certificates/trust-source/anchors";
const SUSE: &str = "etc/pki/trust/anchors";

#[tokio::test]
async fn the_root_is_added_to_the_systems_store_and_removed() {
    for (folder, install, remove) in [
        (
            DEBIAN,
            "update-ca-certificates ",
            "update-ca-certificates --fresh",
        ),
        (FEDORA, "update-ca-trust extract", "update-ca-trust extract"),
        (ARCH, "trust extract-compat", "trust extract-compat"),
        (SUSE, "update-ca-certificates ", "update-ca-certificates "),
    ] {
        let machine = Machine::with_root();
        machine.folder(folder);
        machine.program(install.split(' ').next().unwrap(), "");

        let (is_done, said) = machine.trust(&[]).await;
        assert!(
            is_done && said.contains(": the root certificate is trusted"),
            "{said}"
        );
        assert_eq!(machine.calls(), [install]);
        let files = machine.files(folder);
        let name = files[0].file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with("proxy-internal-ca-") && name.ends_with(".crt"),
            "{name}"
        );
        let root = std::fs::read(machine.path("data/internal-ca/root.pem")).unwrap();
        assert_eq!(std::fs::read(&files[0]).unwrap(), root);
        let mode = std::fs::metadata(&files[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);

        let (is_done, said) = machine.trust(&["--remove"]).await;
        assert!(
            is_done && said.contains(": the root certificate is removed"),
            "{said}"
        );
        assert_eq!(machine.calls(), [remove]);
        assert!(machine.files(folder).is_empty());

        let (is_done, said) = machine.trust(&["--remove"]).await;
        assert!(
            is_done && said.contains(": the root certificate was not installed"),
            "{said}"
        );
        assert!(machine.calls().is_empty());
    }
}

#[tokio::test]
async fn a_missing_or_failing_program_leaves_the_store_unchanged() {
    let machine = Machine::with_root();
    machine.folder(DEBIAN);
    let (is_done, said) = machine.trust(&[]).await;
    assert!(
        !is_done && said.contains("unchanged: `update-ca-certificates` is missing"),
        "{said}"
    );
    assert!(machine.files(DEBIAN).is_empty());

    machine.program("update-ca-certificates", "echo disk full >&2; exit 1");
    let (is_done, said) = machine.trust(&[]).await;
    let sentence = "unchanged: `update-ca-certificates` failed: disk full";
    assert!(!is_done && said.contains(sentence), "{said}");
    assert!(
        said.contains("not every trust store could be changed"),
        "{said}"
    );
    assert!(machine.files(DEBIAN).is_empty());
}

#[tokio::test]
async fn without_an_internal_ca_nothing_is_created() {
    let machine = Machine::new();
    machine.folder(DEBIAN);
    for args in [&[][..], &["--remove"]] {
        let (is_done, said) = machine.trust(args).await;
        let sentence = "start the proxy with a local name first";
        assert!(
            !is_done && said.contains("no internal CA yet") && said.contains(sentence),
            "{said}"
        );
    }
    assert!(machine.files("data").is_empty() && machine.files(DEBIAN).is_empty());
}

#[tokio::test]
async fn a_user_without_permission_is_told_the_command_to_run() {
    let machine = Machine::with_root();
    let store = machine.folder(DEBIAN);
    std::fs::set_permissions(machine.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o555)).unwrap();
    let args = ["trust", "--root"];
    let program = machine.path("proxy");
    std::fs::copy(env!("CARGO_BIN_EXE_proxy"), &program).unwrap();
    // Root may write anywhere, so the test runs the command as another user.
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            let mut command = std::process::Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            command.arg(&program);
            command
        }
        false => std::process::Command::new(&program),
    };
    let storage = format!("file:{}", machine.path("data").display());
    command.args(args).arg(machine.0.path());
    command
        .args(["--storage", &storage])
        .env("HOME", machine.path("home"));
    let (is_done, said) = said(&command.output().unwrap());
    let sentence = format!(
        "unchanged: this needs root; run `sudo {} trust --storage {storage}`",
        program.display()
    );
    assert!(!is_done && said.contains(&sentence), "{said}");
}

#[tokio::test]
async fn all_browser_stores_are_changed_if_certutil_exists() {
    let machine = Machine::with_root();
    machine.folder(DEBIAN);
    machine.program("update-ca-certificates", "");
    for folder in [
        ".pki/nssdb",
        ".mozilla/firefox/ab12.default",
        ".mozilla/firefox/empty",
    ] {
        machine.folder(&format!("home/{folder}"));
    }
    for folder in [".pki/nssdb", ".mozilla/firefox/ab12.default"] {
        std::fs::write(machine.path("home").join(folder).join("cert9.db"), "").unwrap();
    }

    let (is_done, said) = machine.trust(&[]).await;
    assert!(
        !is_done && said.contains("`certutil` is missing; install it"),
        "{said}"
    );
    assert!(
        said.contains(": the root certificate is trusted"),
        "the system's store is another matter: {said}"
    );
    machine.calls();

    let keep = format!("exec cat > '{}'", machine.path("given").display());
    machine.program("certutil", &format!("PATH=/usr/bin:/bin; {keep}"));
    let (is_done, said) = machine.trust(&[]).await;
    assert!(is_done, "{said}");
    assert_eq!(
        said.matches(": the root certificate is trusted").count(),
        3,
        "{said}"
    );
    let calls = machine.calls();
    let home = machine.path("home");
    let folder = format!("-d sql:{}/.pki/nssdb -n proxy-internal-ca-", home.display());
    assert!(
        calls[1].starts_with(&format!("certutil -A {folder}")),
        "{calls:?}"
    );
    assert!(calls[1].ends_with(" -t C,,"), "{calls:?}");
    let root = std::fs::read(machine.path("data/internal-ca/root.pem")).unwrap();
    assert_eq!(std::fs::read(machine.path("given")).unwrap(), root);
    assert!(calls[2].contains("ab12.default"), "{calls:?}");

    machine.trust(&["--remove"]).await;
    let calls = machine.calls();
    assert!(
        calls[1].starts_with("certutil -L ")
            && calls[2].starts_with(&format!("certutil -D {folder}")),
        "{calls:?}"
    );

    machine.program("certutil", "exit 255");
    let (is_done, said) = machine.trust(&["--remove"]).await;
    assert!(is_done, "{said}");
    assert_eq!(
        said.matches(": the root certificate was not installed")
            .count(),
        3,
        "{said}"
    );
}

#[tokio::test]
async fn the_stores_of_new_browsers_packages_and_the_caller_of_sudo_are_found() {
    let machine = Machine::with_root();
    machine.folder(DEBIAN);
    for program in ["update-ca-certificates", "certutil"] {
        machine.program(program, "");
    }
    let stores = [
        "home/data/pki/nssdb",
        "home/snap/chromium/current/.local/share/pki/nssdb",
        "home/snap/firefox/common/.mozilla/firefox/a.default",
        "home/.var/app/org.mozilla.firefox/config/mozilla/firefox/b.default",
        "home/.var/app/org.chromium.Chromium/data/pki/nssdb",
        "anna/.local/share/pki/nssdb",
        "anna/.mozilla/firefox/c.default",
    ];
    for store in stores {
        std::fs::write(machine.folder(store).join("cert9.db"), "").unwrap();
    }
    let etc = machine.folder("etc");
    let anna = format!(
        "anna:x:1000:1000::{}:/bin/sh\n",
        machine.path("anna").display()
    );
    std::fs::write(
        etc.join("passwd"),
        format!("root:x:0:0::/root:/bin/sh\n{anna}"),
    )
    .unwrap();

    let mut command = machine.command(&[]);
    command
        .env("XDG_DATA_HOME", machine.path("home/data"))
        .env("SUDO_USER", "anna");
    let (is_done, said) = said(&command.output().await.unwrap());

    assert!(is_done, "{said}");
    for store in stores {
        let line = format!(
            "browser store {}: the root certificate is trusted",
            machine.path(store).display()
        );
        assert!(said.contains(&line), "{store}: {said}");
    }
}
