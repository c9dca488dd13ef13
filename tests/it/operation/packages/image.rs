//! The container image: the proxy runs with nothing but the files of the image, as its user, and reports its health.
//!
//! No container engine is needed. The settings come from the Dockerfile; the folders are made here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::deadline::soon;
use crate::harness::skip::skip;

const PROXY: &str = env!("CARGO_BIN_EXE_proxy");
/// The roots of public CAs.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Runs a command with a folder as its root, as a user. Like engines do, it mounts `/proc`.
const IN_IMAGE: &str = r#"
root=$1 user=$2
shift 2
mount -t proc proc "$root/proc"
exec /usr/sbin/chroot --userspec="$user" "$root" "$@""#;

/// The last stage of the Dockerfile.
struct Stage(String);

impl Stage {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/Dockerfile");
        let text = fs::read_to_string(path).unwrap();
        let (_, stage) = text.split_once("\nFROM scratch\n").unwrap();
        Self(stage.to_owned())
    }

    /// What follows an instruction.
    fn after(&self, instruction: &str) -> &str {
        let found = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(instruction));
        found.unwrap_or_else(|| panic!("no {instruction}"))
    }

    /// The words of an instruction whose value is a list.
    fn words(&self, instruction: &str) -> Vec<String> {
        serde_json::from_str(self.after(instruction)).unwrap()
    }
}

/// A root folder with the files of the image. The binary of the tests is not static, so its libraries are there too.
fn image() -> TempDir {
    let root = TempDir::new().unwrap();
    fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let put = |from: &Path, to: &str| {
        let to = root.path().join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    put(Path::new(PROXY), "usr/bin/proxy");
    put(Path::new(ROOTS), ROOTS);
    let linked = std::process::Command::new("ldd")
        .arg(PROXY)
        .output()
        .unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    for library in linked
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        put(&PathBuf::from(library), library);
    }
    fs::create_dir(root.path().join("proc")).unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    chown(&data, Some(65532), Some(65532)).unwrap();
    root
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_needs_no_more_than_its_files_and_tells_its_health() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can change its root folder");
    }
    let probe = std::process::Command::new("unshare")
        .args(["--mount", "true"])
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return skip("this machine may not mount anything");
    }
    let (stage, root) = (Stage::read(), image());
    let in_image = |words: &[String]| {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--mount", "sh", "-ec", IN_IMAGE, "sh"]);
        command.arg(root.path()).arg(stage.after("USER "));
        command.args(words).env_clear();
        for setting in stage.after("ENV ").split(' ') {
            let (name, value) = setting.split_once('=').unwrap();
            command.env(name, value);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    };
    let health = stage.after("HEALTHCHECK ");
    let (_, health) = health.split_once(" CMD ").unwrap();
    let health: Vec<String> = serde_json::from_str(health).unwrap();
    assert_eq!(stage.after("VOLUME "), "/data");

    let unhealthy = soon(in_image(&health).output()).await.unwrap();
    assert_eq!(unhealthy.status.code(), Some(1), "{unhealthy:?}");

    let mut proxy = in_image(&stage.words("ENTRYPOINT "))
        .env("PROXY_UPSTREAM", "127.0.0.1:9")
        .env("PROXY_DOMAIN", "localhost")
        .env("PROXY_EMAIL", "")
        .env("PROXY_LISTEN_HTTP", "127.0.0.1:0")
        .env("PROXY_LISTEN_HTTPS", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(proxy.stdout.take().unwrap()).lines();
    let ready = soon(lines.next_line()).await.unwrap().unwrap();
    assert!(ready.starts_with("ready http="), "{ready}");
    let healthy = soon(in_image(&health).output()).await.unwrap();
    assert!(healthy.status.success(), "{healthy:?}");
}
