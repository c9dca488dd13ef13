//! Lingering close: a client that writes all of a request before it reads gets the answer that was given early, since the proxy
//! reads on for a while before it closes the connection.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::harness::backends::web_app::App;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

const MIB: usize = 1 << 20;
/// Bytes of a request that a client sends in all.
const LARGE: usize = 4 * MIB;

/// A proxy with a site that has both ways in, and one that is redirected to HTTPS.
async fn start(rest: &str) -> (Proxy, App) {
    let app = App::start().await;
    let upstream = app.address;
    let text = format!(
        "[sites]\n\
         \"localhost\" = {{ upstream = \"{upstream}\", max-body = \"1m\", http = \"both\" }}\n\
         \"redirect.localhost\" = \"{upstream}\"\n{rest}\n"
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    (proxy, app)
}

/// A request of this start, with bytes after it that nobody wants.
fn large(start: &str) -> Vec<u8> {
    let mut request = start.as_bytes().to_vec();
    request.resize(LARGE, b'y');
    request
}

fn upload(host: &str) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {LARGE}\r\n\r\n"
    );
    [head.as_bytes(), &vec![b'y'; LARGE]].concat()
}

fn chunked_upload() -> Vec<u8> {
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{LARGE:x}\r\n"
    );
    [head.as_bytes(), &vec![b'y'; LARGE], b"\r\n0\r\n\r\n"].concat()
}

/// Requests for `localhost` that are answered before they are read, with their status.
fn early_answered() -> [(Vec<u8>, &'static str); 5] {
    let start = |rest: &str| large(&format!("POST / HTTP/1.1\r\nhost: localhost\r\n{rest}"));
    [
        (upload("localhost"), "413"),
        (chunked_upload(), "413"),
        (start("x: "), "431"),
        (start("no field\r\n\r\n"), "400"),
        (start("content-length: x\r\n\r\n"), "400"),
    ]
}

/// Writes all of `request`, and then reads the whole answer.
async fn write_then_read(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> std::io::Result<String> {
    soon(stream.write_all(request)).await?;
    soon(stream.flush()).await?;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

fn assert_status(answer: std::io::Result<String>, status: &str) {
    let answer = answer.unwrap_or_else(|error| panic!("no {status}: {error}"));
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{status}: {answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_writes_all_before_it_reads_gets_the_early_answer_over_tls() {
    let (proxy, _app) = start("").await;
    let client = proxy.client().alpn("http/1.1");
    for (request, status) in early_answered() {
        let stream = client.connect(proxy.https(), "localhost").await.unwrap();
        assert_status(write_then_read(stream, &request).await, status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_writes_all_before_it_reads_gets_the_early_answer_without_tls() {
    let (proxy, _app) = start("").await;
    let of_other_sites = [
        (upload("redirect.localhost"), "308"),
        (upload("unknown.example.org"), "404"),
    ];
    for (request, status) in early_answered().into_iter().chain(of_other_sites) {
        let stream = TcpStream::connect(proxy.http()).await.unwrap();
        assert_status(write_then_read(stream, &request).await, status);
    }
    for (request, status) in [
        (upload("redirect.localhost"), "308"),
        (upload("unknown.example.org"), "400"),
        (large("POST / HTTP/1.1\r\nno field\r\n\r\n"), "400"),
        (large("POST / HTTP/1.1\r\nx: "), "431"),
    ] {
        let stream = TcpStream::connect(proxy.https()).await.unwrap();
        assert_status(write_then_read(stream, &request).await, status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_stops_writing_is_cut_at_the_bound() {
    // Given a client whose request is answered, and which does not stop sending it.
    let (proxy, _app) = start("").await;
    let mut stream = TcpStream::connect(proxy.http()).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: redirect.localhost\r\ncontent-length: 99999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();

    let piece = vec![b'y'; MIB];
    let mut sent = 0;
    let sending = async {
        while stream.write_all(&piece).await.is_ok() {
            sent += 1;
        }
    };
    timeout(Duration::from_secs(29), sending).await.unwrap();

    // Then it is cut after 256 MiB, and what was on its way.
    assert!((256..256 + 32).contains(&sent), "{sent} MiB");
}

/// Sends a head that is too large, and waits for the answer.
async fn refused(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(&large("GET / HTTP/1.1\r\nx: "))
        .await
        .unwrap();
    let mut status = [0; 12];
    soon(stream.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_clients_that_have_their_answer() {
    let (mut proxy, _app) = start("").await;
    let kept = [refused(proxy.http()).await, refused(proxy.http()).await];

    let begin = Instant::now();
    proxy.signal(Signal::TERM);

    assert!(proxy.ended().await.success());
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    drop(kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_counts_for_its_client_until_it_is_closed() {
    let (proxy, _app) = start("[limits]\nconnections-per-client = 1").await;
    let get = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let ask = async || {
        let stream = TcpStream::connect(proxy.http()).await.unwrap();
        write_then_read(stream, get).await.unwrap_or_default()
    };
    let kept = refused(proxy.http()).await;

    assert_eq!(ask().await, "", "the client has its connection");

    drop(kept);
    soon(async {
        while !ask().await.starts_with("HTTP/1.1 200 ") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
