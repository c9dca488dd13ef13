//! Upgrades that fail: the old process serves on, and says why.

use std::os::unix::fs::PermissionsExt;

use crate::harness::admin::run;
use crate::harness::proxy::{Proxy, ProxySetup};

const SITE: &str = "[sites]\nlocalhost = { respond = { body = \"hello\" } }\n";

/// An upgrade fails with each of `parts` in its sentence, and the proxy serves and obeys as before.
async fn fails(proxy: &mut Proxy, args: &[&str], parts: &[&str]) {
    let told = run(&proxy.data(), &[&["upgrade"], args].concat()).await;
    assert_eq!((told.code, told.out.as_str()), (1, ""), "{}", told.err);
    assert!(
        told.err
            .starts_with("not upgraded, the running proxy goes on: "),
        "{}",
        told.err
    );
    for part in parts {
        assert!(told.err.contains(part), "`{part}` is not in: {}", told.err);
    }
    proxy.logged("not upgraded; this process goes on").await;
    let client = proxy.client();
    assert_eq!(
        client.get(proxy.https(), "localhost", "/").await.body,
        "hello"
    );
    let told = run(&proxy.data(), &["status"]).await;
    assert_eq!(told.code, 0, "{}", told.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_that_cannot_serve_leaves_the_old_process() {
    let mut proxy = ProxySetup::new().proxyfile(SITE).start().await;
    fails(
        &mut proxy,
        &["--binary", "/nonexistent/proxy"],
        &[
            "/nonexistent/proxy cannot be started: No such file",
            "--binary PATH",
        ],
    )
    .await;

    let script = proxy.file("script", "#!/bin/sh\nexit 3\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let script = script.display().to_string();
    fails(
        &mut proxy,
        &["--binary", &script],
        &["script ended before it was ready: exit status: 3"],
    )
    .await;

    let told = run(&proxy.data(), &["stop"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "stopped\n"));
    assert!(proxy.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxyfile_with_mistakes_leaves_the_old_process() {
    let mut proxy = ProxySetup::new().proxyfile(SITE).start().await;
    proxy.file("Proxyfile", &format!("emial = \"a\"\n{SITE}hsts = 1\n"));
    let parts = ["Proxyfile:1:1: unknown key `emial`", "Proxyfile:4:"];
    fails(&mut proxy, &[], &parts).await;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    proxy.file("Proxyfile", &format!("metrics = \"{taken}\"\n{SITE}"));
    let part = format!("metrics cannot be served on {taken}");
    fails(&mut proxy, &[], &[&part]).await;
    drop(listener);
    // The log has each of them once, although both processes write to it.
    let log = proxy.log();
    for part in ["unknown key `emial`", &part] {
        assert_eq!(log.matches(part).count(), 1, "{log}");
    }

    // The way is free once the mistake is corrected.
    proxy.file("Proxyfile", SITE);
    proxy.upgrade().await;
    assert!(proxy.first_ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_during_an_upgrade_ends_both() {
    let mut proxy = ProxySetup::new().proxyfile(SITE).start().await;
    let script = proxy.file(
        "script",
        "#!/bin/sh\necho $$ >\"$0.pid\"\nexec sleep 1000\n",
    );
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let pid_file = script.with_extension("pid");
    let (data, binary) = (proxy.data(), script.display().to_string());
    let upgrade = proxy::tasks::Tasks::new()
        .spawn(async move { run(&data, &["upgrade", "--binary", &binary]).await });
    proxy.logged("upgrading: starting another process").await;
    let pid = crate::harness::deadline::soon(async {
        loop {
            if let Ok(pid) = std::fs::read_to_string(&pid_file)
                && let Ok(pid) = pid.trim().parse::<u32>()
            {
                return pid;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;

    let told = run(&proxy.data(), &["stop"]).await;

    assert_eq!((told.code, told.out.as_str()), (0, "stopped\n"));
    assert_eq!(upgrade.await.unwrap().code, 1);
    assert!(proxy.ended().await.success());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    assert!(stat.is_err() || stat.unwrap().contains(") Z "));
}
