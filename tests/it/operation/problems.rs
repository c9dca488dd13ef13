//! Word to the operator: `on-problem` is told when something is badly wrong, and when it is over.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::harness::backends::origin::Origin;
use crate::harness::ports::Reservation;
use crate::harness::proxy::ProxySetup;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A Proxyfile whose only site has its backend at `backend`, checked often.
fn watched(receiver: &str, backend: SocketAddr) -> String {
    format!(
        "on-problem = \"{receiver}\"\n[sites.localhost]\nupstream = \"{backend}\"\n\
         health = {{ path = \"/up\", interval = \"100ms\", rise = 1, fall = 1 }}\n"
    )
}

/// A web server that refuses its first message.
async fn webhook() -> Origin {
    Origin::start(|mut connection| async move {
        let status = if connection.number == 1 {
            "500 No"
        } else {
            "204 Yes"
        };
        connection.read_request().await;
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        connection.raw.send(answer).await;
    })
    .await
}

fn message(request: &str) -> Value {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /T1/secret HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn a_web_server_is_told_that_all_backends_are_down_and_when_they_work_again() {
    // Given a site whose only backend does not listen, and a web server that takes the message at the second try.
    let mut webhook = webhook().await;
    let port = Reservation::new();
    let backend = port.address();
    drop(port);
    let url = format!("http://{}/T1/secret", webhook.address);
    let text = watched(&url, backend);
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;

    // When the health check fails, then the message says so, and is repeated once.
    let first = message(&webhook.event().await);
    let line = proxy.logged("on-problem could not be told").await;
    assert!(line.contains("status 500"), "{line}");
    assert_eq!(message(&webhook.event().await), first);
    assert_eq!(first["event"], "problem");
    assert_eq!(first["kind"], "upstream");
    assert_eq!(first["subject"], backend.to_string());
    let sentence = first["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("no backend of localhost works; start "),
        "{sentence}"
    );

    // When the backend starts, then the end of the problem is told.
    let _backend = Origin::answering_on(backend, OK).await;
    let over = message(&webhook.event().await);
    assert_eq!(over["event"], "over");
    assert_eq!(over["since"], first["since"]);
    assert!(!proxy.log().contains("secret"), "{}", proxy.log());
}

/// Waits until the hook beside the Proxyfile has written its arguments.
async fn said(folder: &Path) -> String {
    let path = folder.join("said");
    loop {
        if let Ok(text) = std::fs::read_to_string(&path) {
            return text;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_command_is_told_that_storage_is_gone() {
    // Given a proxy with a command, and a backend that works.
    let setup = ProxySetup::new();
    let script =
        "#!/bin/sh\ncd \"$(dirname \"$0\")\"\nprintf '%s\\n' \"$@\" > new && mv new said\n";
    let path = setup.file("hook", script);
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
    let backend = Origin::answering(OK).await;
    let text = watched("hook", backend.address);
    let mut proxy = setup.proxyfile(&text).start().await;
    // Nothing else is stored after that. A write would make the directory anew.
    proxy.logged("certificate obtained").await;

    // When its data directory is removed, and a reload makes the proxy look at once.
    let data = proxy.data();
    std::fs::remove_dir_all(&data).unwrap();
    proxy.reload(&text).await;

    // Then the command gets the event, the kind, the directory and the sentence.
    let folder = data.parent().unwrap();
    let said = crate::harness::deadline::soon(said(folder)).await;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert_eq!(lines[..3], ["problem", "storage", data.to_str().unwrap()]);
    assert!(lines[3].contains(data.to_str().unwrap()), "{said}");
}
