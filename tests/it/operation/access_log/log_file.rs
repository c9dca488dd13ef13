//! The file of the access log: reopened when it is moved, and absent where a site has no log.

use proxy::proxy::SiteFeatureOptions;
use rustix::process::Signal;
use tempfile::TempDir;

use super::fixtures::{Logged, get, lines};
use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::clients::raw::ask;
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;
use crate::harness::service::ServiceSetup;

#[tokio::test]
async fn a_site_may_have_no_log() {
    let origin = Origin::ok().await;
    let mut setup = ServiceSetup::new();
    setup.features.access_log = false;
    let mut setup = setup.site("quiet.example.org", &[origin.address]);
    setup.features = SiteFeatureOptions::default();
    let setup = setup.site("www.example.org", &[origin.address]);
    let log = Logged::new(|_| (), setup).await;
    ask(
        log.service.h1,
        "GET / HTTP/1.1\r\nHost: quiet.example.org\r\nConnection: close\r\n\r\n",
    )
    .await;
    ask(log.service.h1, get("/loud", "")).await;
    let lines = log.json(1).await;
    assert_eq!((lines.len(), &lines[0]["path"]), (1, &"/loud".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_log_file_is_reopened_and_no_line_is_lost() {
    let app = App::start().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("access.log");
    let setup = ProxySetup::new().local(&app);
    let mut proxy = setup
        .args(["--access-log", path.to_str().unwrap()])
        .start()
        .await;
    let client = proxy.client();
    client.get(proxy.https(), "localhost", "/1").await;
    lines(&path, 1).await;
    let moved = folder.path().join("access.log.1");
    std::fs::rename(&path, &moved).unwrap();
    proxy.signal(Signal::USR1);
    lines(&path, 0).await;
    soon(async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.get2(proxy.https(), "localhost", "/2").await;
    // The last line is written before the process ends.
    proxy.signal(Signal::TERM);
    assert!(proxy.ended().await.success());
    assert_eq!(lines(&moved, 1).await.len(), 1);
    let new = lines(&path, 1).await;
    assert!(new.len() == 1 && new[0].contains("\"/2\""), "{new:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_pipe_that_nobody_reads_stops_no_request_and_no_shutdown() {
    let app = App::start().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("access.pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let setup = ProxySetup::new().local(&app);
    let mut proxy = setup
        .args(["--access-log", path.to_str().unwrap()])
        .start()
        .await;
    let client = proxy.client();
    let answer = client.get(proxy.https(), "localhost", "/1").await;
    assert_eq!(answer.status, 200);
    proxy.signal(Signal::TERM);
    assert!(proxy.ended().await.success());
}

#[tokio::test]
async fn a_moved_log_file_is_noticed_without_a_signal() {
    let origin = Origin::ok().await;
    let log = Logged::serve(&origin).await;
    let path = log.folder.path().join("access.log");
    ask(log.service.h1, get("/", "")).await;
    log.lines(1).await;
    std::fs::rename(&path, log.folder.path().join("old.log")).unwrap();
    soon(async {
        while !path.exists() {
            ask(log.service.h1, get("/", "")).await;
        }
    })
    .await;
    log.lines(1).await;
}
