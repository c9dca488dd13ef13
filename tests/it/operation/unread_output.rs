//! Standard output and standard error that nobody reads: nothing waits for them.

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;

use crate::harness::backends::web_app::App;
use crate::harness::deadline::soon;
use crate::harness::full_pipe::full_pipe;
use crate::harness::proxy::{Proxy, ProxySetup, command};

/// Makes requests, and handshakes that are refused.
async fn serves(proxy: &Proxy) {
    let client = proxy.client();
    for path in ["/1", "/2", "/3"] {
        let answer = soon(client.get(proxy.https(), "localhost", path)).await;
        assert_eq!(answer.status, 200);
        let refused = soon(client.serial(proxy.https(), "unknown.example.org")).await;
        refused.unwrap_err();
    }
}

/// Reads until a line has `part`.
async fn read_until(lines: &mut Lines<BufReader<Receiver>>, part: &str) {
    soon(async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(part) {
                return;
            }
        }
        panic!("`{part}` was not said");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_stops_no_request_and_no_shutdown() {
    let app = App::start().await;
    let (stderr, _unread) = full_pipe().await;
    let setup = ProxySetup::new().local(&app).stderr(stderr);
    let mut proxy = setup.args(["--log-level", "trace"]).start().await;

    serves(&proxy).await;
    proxy.signal(Signal::TERM);

    assert!(proxy.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_read_again_goes_on_where_it_stopped() {
    let app = App::start().await;
    let (stderr, unread) = full_pipe().await;
    let setup = ProxySetup::new().local(&app).stderr(stderr);
    let mut proxy = setup.start().await;
    serves(&proxy).await;

    let mut lines = BufReader::new(unread).lines();
    read_until(&mut lines, "listening").await;
    read_until(&mut lines, "unknown.example.org").await;
    proxy.signal(Signal::TERM);
    read_until(&mut lines, "stopped").await;

    assert!(proxy.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standard_output_that_nobody_reads_stops_no_request_and_no_shutdown() {
    let app = App::start().await;
    let (stdout, _unread) = full_pipe().await;
    let setup = ProxySetup::new().local(&app).stdout(stdout);
    let mut proxy = setup.args(["--access-log", "-"]).start().await;

    proxy.logged("listening").await;
    serves(&proxy).await;
    proxy.signal(Signal::TERM);

    assert!(proxy.ended().await.success());
}

#[tokio::test]
async fn an_error_that_nobody_reads_does_not_keep_a_command_from_its_end() {
    let (stderr, _unread) = full_pipe().await;
    let mut command = command();
    command.args(["run", "--config", "/nonexistent/Proxyfile"]);
    let mut child = command.stderr(stderr).spawn().unwrap();
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(2));
}
