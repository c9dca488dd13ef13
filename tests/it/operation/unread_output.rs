//! Standard output and standard error that nobody reads: nothing waits for them.

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

use crate::harness::backends::web_app::App;
use crate::harness::deadline::soon;
use crate::harness::full_pipe::full_pipe;
use crate::harness::output_lines::PATIENCE;
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

/// Number of lost lines that a line of the log tells.
fn lost(line: &str) -> usize {
    let count = line
        .split("lost=")
        .nth(1)
        .unwrap_or_else(|| panic!("{line}"));
    let end = count.find(' ').unwrap_or(count.len());
    count[..end].parse().unwrap()
}

/// Asks the plain port this many times, without a pause.
async fn flood(proxy: &Proxy, requests: usize) {
    let stream = TcpStream::connect(proxy.http()).await.unwrap();
    let (mut answers, mut sending) = stream.into_split();
    let request = "GET /counted HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let all = request.repeat(requests - 1);
    let last = request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let sending = async {
        sending.write_all(all.as_bytes()).await.unwrap();
        sending.write_all(last.as_bytes()).await.unwrap();
    };
    let mut text = String::new();
    let both = async { tokio::join!(sending, answers.read_to_string(&mut text)).1 };
    timeout(PATIENCE, both).await.unwrap().unwrap();
    assert_eq!(text.matches("HTTP/1.1 308 ").count(), requests);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lost_lines_of_an_access_log_on_standard_output_are_told_when_it_is_read_again() {
    // Given a standard output that nobody reads, and more requests than lines can wait.
    const REQUESTS: usize = 20_000;
    let app = App::start().await;
    let (stdout, unread) = full_pipe().await;
    let setup = ProxySetup::new().local(&app).stdout(stdout);
    let mut proxy = setup.args(["--access-log", "-"]).start().await;
    proxy.logged("listening").await;
    flood(&proxy, REQUESTS).await;

    // When it is read again, then the number of lost lines is told.
    let mut lines = BufReader::new(unread).lines();
    let reading = async {
        let mut written = 0;
        while let Some(line) = lines.next_line().await.unwrap() {
            written += usize::from(line.contains("/counted"));
        }
        written
    };
    let stopping = async {
        let told = proxy.logged("lines of the access log were lost").await;
        proxy.signal(Signal::TERM);
        assert!(proxy.ended().await.success());
        lost(&told)
    };
    let (written, lost) = timeout(PATIENCE, async { tokio::join!(reading, stopping) })
        .await
        .unwrap();
    assert!(lost > 0);
    assert_eq!(written + lost, REQUESTS, "each line is written or counted");
}

#[tokio::test]
async fn an_error_that_nobody_reads_does_not_keep_a_command_from_its_end() {
    let (stderr, _unread) = full_pipe().await;
    let mut command = command();
    command.args(["run", "--config", "/nonexistent/Proxyfile"]);
    let mut child = command.stderr(stderr).spawn().unwrap();
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(2));
}
