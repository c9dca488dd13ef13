//! `user`: root binds the ports, and another user serves.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::process::Pid;

use crate::harness::admin::run;
use crate::harness::process_status::values;
use crate::harness::proxy::ProxySetup;
use crate::harness::skip::skip;

const SITE: &str = "[sites]\nlocalhost = { respond = { body = \"hello\" } }\n";
/// The user `nobody` of every Debian machine.
const NOBODY: &str = "65534";

fn has_dropped_privileges(pid: Pid) {
    for key in ["Uid:", "Gid:"] {
        let ids = values(pid, key);
        assert!(ids.iter().all(|id| id == NOBODY), "{key} {ids:?}");
    }
    assert_eq!(values(pid, "CapEff:"), ["0000000000000000"]);
    // All threads, and not only the one that has asked.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    for task in tasks.unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(
            status.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}")),
            "{status}"
        );
    }
    // The system gives the files of a process that may not be dumped to root.
    let maps = std::fs::metadata(format!("/proc/{}/maps", pid.as_raw_nonzero()));
    assert_eq!(maps.unwrap().uid(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_listens_and_another_user_serves_reloads_and_upgrades() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become another user");
    }
    let text = format!("user = \"nobody\"\n{SITE}");
    let setup = ProxySetup::new().proxyfile(&text);
    // The data directory does not exist, and belongs to the user then.
    let above = setup.data().parent().unwrap().to_owned();
    std::fs::set_permissions(above, PermissionsExt::from_mode(0o755)).unwrap();
    let mut proxy = setup.start().await;
    has_dropped_privileges(proxy.pid());
    assert_eq!(std::fs::metadata(proxy.data()).unwrap().uid(), 65534);
    let client = proxy.client();
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "hello"
    );

    proxy.file("Proxyfile", &text.replace("hello", "reloaded"));
    let told = run(&proxy.data(), &["reload"]).await;
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "reloaded"
    );

    let pid = proxy.upgrade().await;
    has_dropped_privileges(pid);
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "reloaded"
    );

    let told = run(&proxy.data(), &["reload"]).await;
    assert_eq!(told.code, 0, "{}", told.err);
    proxy.file("Proxyfile", SITE);
    let told = run(&proxy.data(), &["reload"]).await;
    assert_eq!(told.code, 2);
    assert!(
        told.err
            .contains("`user` is no longer set, and cannot change"),
        "{}",
        told.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_cannot_be_is_refused_with_the_way_out() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become another user");
    }
    for (user, sentence) in [
        (
            "no-such-user",
            "this machine has no user `no-such-user`; create it",
        ),
        ("root", "`user` is `root`, which has all privileges"),
    ] {
        let dir = tempfile::TempDir::new().unwrap();
        let config = dir.path().join("Proxyfile");
        let listen = "listen = { http = \"127.0.0.1:0\", https = \"127.0.0.1:0\" }\n";
        std::fs::write(&config, format!("user = \"{user}\"\n{listen}{SITE}")).unwrap();
        let config = config.display().to_string();
        let told = run(&dir.path().join("data"), &["run", "--config", &config]).await;
        assert_eq!(told.code, 1);
        assert!(told.err.contains(sentence), "{}", told.err);
    }
}
