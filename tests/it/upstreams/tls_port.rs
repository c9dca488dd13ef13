//! Backends over plain HTTP that expect TLS, and apps that quote their words.

use std::net::SocketAddr;

use proxy::upstream::TlsOptions;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::tls::{FACTS, GET, self_signed, serve};
use crate::harness::backends::apache::Apache;
use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::origin::Origin;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::raw::ask;
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;

/// Sends a request to a backend over plain HTTP, although it speaks TLS. Returns the answer and the line of the log.
async fn in_plain_text(address: SocketAddr) -> (String, String) {
    asked_at(&format!("http://{address}")).await
}

/// Sends a request to a site with this upstream. Returns the answer and the line of the log.
async fn asked_at(upstream: &str) -> (String, String) {
    let text = format!(
        "[sites]\n\"www.example.org\" = {{ upstream = \"{upstream}\", http = \"serve\" }}\n"
    );
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let answer = ask(proxy.http(), GET).await;
    let line = proxy.logged("www.example.org: ").await;
    let again = ask(proxy.http(), GET).await;
    assert_eq!(again.lines().next(), answer.lines().next());
    let told = proxy.log().matches("www.example.org: ").count();
    assert_eq!(told, 1, "one line for the backend");
    (answer, line)
}

#[tokio::test]
async fn a_web_server_that_expects_https_is_a_502_that_says_what_to_write() {
    let ca = TestCa::root("backends");
    let nginx = Nginx::start(&ca, FACTS).await;
    let lines =
        "SSLEngine on\nSSLCertificateFile {dir}/cert.pem\nSSLCertificateKeyFile {dir}/key.pem\n";
    let apache = Apache::start(&ca, &["ssl"], lines).await;
    let go = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let go = Origin::answering_once(go).await;
    for address in [nginx.address, apache.address, go.address] {
        let (answer, line) = in_plain_text(address).await;

        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(line.contains("says that it expects HTTPS; "), "{line}");
        let fix = format!("write `https://{address}` if it speaks HTTPS there");
        assert!(line.contains(&fix), "{line}");
        assert!(line.len() < 300, "{line}");
    }
}

#[tokio::test]
async fn a_backend_that_answers_h2c_with_another_version_is_a_502_that_says_what_to_write() {
    let ca = TestCa::root("backends");
    let nginx = Nginx::start(&ca, FACTS).await;
    let old = "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n";
    let old = Origin::start(move |mut connection| async move {
        connection.raw.read_head().await;
        connection.raw.send(old).await;
        connection.raw.read_to_end().await;
    })
    .await;
    for address in [nginx.address, old.address] {
        let (answer, line) = asked_at(&format!("h2c://{address}")).await;

        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(line.contains("does not speak HTTP/2; "), "{line}");
        for (scheme, protocol) in [("http", "HTTP/1.1"), ("https", "HTTPS")] {
            let fix = format!("`{scheme}://{address}` for {protocol}");
            assert!(line.contains(&fix), "{line}");
        }
        assert!(line.len() < 300, "{line}");
    }
}

/// Starts OpenSSL's server, which sends no page to a client that speaks plain text.
async fn openssl_server() -> (SocketAddr, tokio::process::Child, tempfile::TempDir) {
    let (certificate, key) = self_signed(&["-subj", "/CN=app"]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c"), certificate).unwrap();
    std::fs::write(dir.path().join("k"), key).unwrap();
    let mut child = tokio::process::Command::new("openssl")
        .args("s_server -accept 127.0.0.1:0 -www -cert c -key k".split(' '))
        .current_dir(&dir)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = soon(async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                return address.parse().unwrap();
            }
        }
    });
    (address.await, child, dir)
}

#[tokio::test]
async fn a_backend_that_closes_a_new_connection_or_sends_an_alert_may_expect_https() {
    let (openssl, _child, _dir) = openssl_server().await;
    let closes = Origin::start(|mut connection| async move {
        connection.raw.read_head().await;
    });
    let resets = Origin::start(|mut connection| async move {
        connection.raw.read_head().await;
        connection.raw.reset();
    });
    let alerts = Origin::start(|mut connection| async move {
        connection.raw.read_head().await;
        connection.raw.send([0x15, 3, 1, 0, 2, 2, 70]).await;
    });
    let origins = [closes.await, resets.await, alerts.await];
    for address in std::iter::once(openssl).chain(origins.iter().map(|it| it.address)) {
        let (answer, line) = in_plain_text(address).await;

        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        let fix = format!("write `https://{address}` if it speaks HTTPS there");
        assert!(line.contains(&fix), "{line}");
        assert!(line.len() < 300, "{line}");
        assert!(!line.contains("response head"), "one sentence: {line}");
    }
}

#[tokio::test]
async fn an_app_that_quotes_the_words_of_a_web_server_keeps_its_answer() {
    let go = "Client sent an HTTP request to an HTTPS server.";
    let quoted = format!("invalid value: {go}");
    let nginx = "{\"bad\":\"<title>400 The plain HTTP request was sent to HTTPS port</title>\"}";
    for body in [&quoted, nginx] {
        let length = body.len();
        let origin = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {length}\r\n\r\n{body}");
        let origin = Origin::answering(origin).await;
        let service = serve(&origin.address.to_string(), TlsOptions::default()).await;

        let passed = ask(service.h1, GET).await;

        assert!(passed.starts_with("HTTP/1.1 400 "), "{passed}");
        assert!(passed.ends_with(body), "{passed}");
    }

    // Given a connection that has carried an answer before, then the backend does speak HTTP on it.
    let origin = Origin::start(move |mut connection| async move {
        connection.read_request().await;
        connection.raw.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        connection.read_request().await;
        let second = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: 47\r\n\r\n{go}");
        connection.raw.send(second).await;
        connection.raw.read_to_end().await;
    })
    .await;
    let service = serve(&origin.address.to_string(), TlsOptions::default()).await;
    ask(service.h1, GET).await;
    let second = ask(service.h1, GET).await;
    assert!(second.starts_with("HTTP/1.1 400 "), "{second}");
    assert!(second.ends_with(go), "{second}");
    assert_eq!(origin.connections(), 1, "its connection is used again");
}

#[tokio::test]
async fn any_other_bad_request_of_a_backend_passes_whole_with_its_access_log() {
    let chunks = "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nthe\r\n5\r\n rest\r\n0\r\n\r\n";
    for (answer, end) in [
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 8\r\n\r\nthe rest",
            "\r\n\r\nthe rest",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            "\r\n\r\n",
        ),
        (chunks, "\r\n\r\n3\r\nthe\r\n5\r\n rest\r\n0\r\n\r\n"),
    ] {
        let origin = Origin::answering(answer).await;
        let service = serve(&origin.address.to_string(), TlsOptions::default()).await;

        let passed = ask(service.h1, GET).await;

        assert!(passed.starts_with("HTTP/1.1 400 "), "{passed}");
        assert!(passed.ends_with(end), "{passed}");
        let again = ask(service.h1, GET).await;
        assert!(again.ends_with(end), "{again}");
        assert_eq!(origin.connections(), 1, "its connection is used again");
    }
}
