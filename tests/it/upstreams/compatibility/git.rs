//! git over HTTPS, with Apache and git-http-backend behind the proxy.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::process::Command;

use crate::harness::backends::apache::Apache;
use crate::harness::ca::pki::TestCa;
use crate::harness::proxy::ProxySetup;

const BACKEND: &str = "SetEnv GIT_PROJECT_ROOT {dir}/www\n\
    SetEnv GIT_HTTP_EXPORT_ALL\n\
    SetEnv GIT_CONFIG_COUNT 2\n\
    SetEnv GIT_CONFIG_KEY_0 safe.directory\nSetEnv GIT_CONFIG_VALUE_0 *\n\
    SetEnv GIT_CONFIG_KEY_1 http.receivepack\nSetEnv GIT_CONFIG_VALUE_1 true\n\
    ScriptAlias / /usr/lib/git-core/git-http-backend/\n\
    <Directory /usr/lib/git-core>\nRequire all granted\n</Directory>";

/// More than git sends in one piece, and more than any buffer on the way.
const BYTES: usize = 3 << 20;

async fn git(folder: &Path, root: &Path, args: &[&str]) {
    let output = Command::new("git")
        .current_dir(folder)
        .env("GIT_SSL_CAINFO", root)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .args([
            "-c",
            "user.name=Someone",
            "-c",
            "user.email=someone@example.org",
        ])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "http.postBuffer=65536",
        ])
        .args(args)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_is_pushed_in_chunks_and_cloned() {
    // Given a repository that anybody may write to, behind the proxy.
    let modules = ["cgi", "alias", "env"];
    let apache = Apache::start(&TestCa::root("backends"), &modules, BACKEND).await;
    let setup = ProxySetup::new();
    let port = setup.https().port();
    let upstream = apache.address.to_string();
    let proxy = setup
        .args(["--upstream", &upstream, "--domain", "localhost"])
        .start()
        .await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root.pem");
    std::fs::write(&root, proxy.internal_root()).unwrap();
    let bare = apache.www().join("app.git");
    git(
        dir.path(),
        &root,
        &["init", "--bare", &bare.display().to_string()],
    )
    .await;
    make_writable(&bare);

    // When a large commit is pushed and cloned again over HTTPS.
    let work = dir.path().join("work");
    git(dir.path(), &root, &["init", "work"]).await;
    let content: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(BYTES)
        .collect();
    std::fs::write(work.join("large"), &content).unwrap();
    git(&work, &root, &["add", "large"]).await;
    git(&work, &root, &["commit", "--message", "Add a large file"]).await;
    let url = format!("https://localhost:{port}/app.git");
    git(&work, &root, &["push", &url, "HEAD:refs/heads/main"]).await;
    git(
        dir.path(),
        &root,
        &["clone", "--branch", "main", &url, "copy"],
    )
    .await;

    // Then the clone has what was committed.
    let copied = std::fs::read(dir.path().join("copy/large")).unwrap();
    assert!(copied == content, "the clone differs");
}

/// Lets Apache's user write, who is not the one that runs the tests as root.
fn make_writable(folder: &Path) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            make_writable(&path);
        }
    }
}
