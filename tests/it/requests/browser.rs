//! A page in a real browser with an app on Node.js, and a WebSocket server on Node.js.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::backends::node::{self, NodeApp};
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};
use crate::harness::skip::skip;

/// Time limit for a browser to start on a busy machine and to do all that the page asks for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A proxy in front of the app, with all features that could disturb a page; the access log is at `access.log`.
async fn proxy(app: &NodeApp) -> (Proxy, std::path::PathBuf) {
    let setup = ProxySetup::new();
    let log = setup.file("access.log", "");
    let proxyfile = format!(
        "access-log = {:?}\ncompress = true\nrequest-id = true\n[sites]\n\"localhost\" = \"{}\"\n",
        log.display().to_string(),
        app.address
    );
    (setup.proxyfile(&proxyfile).start().await, log)
}

/// Creates a home folder whose browsers trust this root too.
async fn trusting_home(root: &Path) -> TempDir {
    let home = TempDir::new().unwrap();
    let database = home.path().join(".pki/nssdb");
    std::fs::create_dir_all(&database).unwrap();
    let database = format!("sql:{}", database.display());
    let root = root.display().to_string();
    for args in [
        &["-N", "--empty-password"][..],
        &["-A", "-t", "C,,", "-n", "root", "-i", &root],
    ] {
        let mut certutil = Command::new("certutil");
        let status = certutil.args(["-d", &database]).args(args).status().await;
        assert!(status.unwrap().success());
    }
    home
}

/// Opens the page at `url` in the browser; returns its result.
async fn browse(chromium: &Path, proxy: &Proxy, url: &str) -> Value {
    let home = trusting_home(&proxy.data().join("internal-ca/root.pem")).await;
    let run = node::script("browser.cjs")
        .args([chromium, Path::new(url)])
        .env("HOME", home.path())
        .stderr(Stdio::piped())
        .output();
    let output = timeout(PATIENCE, run).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Method, path, protocol and status of each line.
fn requests(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let part = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let status = &line["status"];
        format!(
            "{} {} {} {status}",
            part("method"),
            part("path"),
            part("protocol")
        )
    };
    text.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_fetches_receives_events_and_uses_a_web_socket() {
    let (chromium, there) = (node::chromium(), node::is_there());
    let (Ok(chromium), Ok(())) = (&chromium, &there) else {
        return skip(there.err().or_else(|| chromium.err()).unwrap_or_default());
    };
    let app = NodeApp::start().await;
    let (proxy, log) = proxy(&app).await;

    let url = format!("https://localhost:{}/", proxy.https().port());
    let seen = browse(chromium, &proxy, &url).await;

    assert_eq!(seen["tls"], "TLS 1.3", "{seen}");
    let fetches = json!({
        "words": 300_000,
        "upload": { "method": "POST", "bytes": 3_000_000 },
        "protocol": "h2",
        "navigation": "h2",
        "missing": 404,
    });
    assert_eq!(seen["fetches"], fetches, "{seen}");
    let events = json!(["1: event 1", "2: event 2", "3: event 3"]);
    assert_eq!(seen["events"], events);
    let socket = json!({
        "seen": ["300000", "hello", "pong: are you there"],
        "code": 4001,
        "reason": "as you wish",
        "wasClean": true,
        "extensions": "permessage-deflate",
    });
    assert_eq!(seen["socket"], socket);

    let _folder = proxy.stop().await;
    let requests = requests(&log);
    for request in [
        "GET / HTTP/2.0 200",
        "GET /events?name=page HTTP/2.0 200",
        "POST /count HTTP/2.0 200",
        "CONNECT /socket HTTP/2.0 200",
    ] {
        assert!(
            requests.iter().any(|seen| seen == request),
            "{request}: {requests:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_server_on_node_serves_clients_of_http_1() {
    if let Err(why) = node::is_there() {
        return skip(why);
    }
    let app = NodeApp::start().await;
    let (proxy, _log) = proxy(&app).await;
    let client = proxy.client().alpn("http/1.1");
    let stream = client.connect(proxy.https(), "localhost").await.unwrap();
    let opening = tokio_tungstenite::client_async("wss://localhost/socket", stream);
    let (mut socket, response) = Box::pin(soon(opening)).await.unwrap();
    assert_eq!(response.status(), 101);

    let large = Message::binary(vec![7; 1_000_000]);
    for message in [Message::text("hello"), large] {
        socket.send(message.clone()).await.unwrap();
        let echo = async {
            loop {
                let heard = socket.next().await.unwrap().unwrap();
                let is_of_the_app =
                    heard.is_ping() || heard == Message::text("pong: are you there");
                if !is_of_the_app {
                    return heard;
                }
            }
        };
        assert!(soon(echo).await == message);
    }
    socket.send(Message::text("close")).await.unwrap();
    let end = soon(async {
        loop {
            if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
                return frame.unwrap();
            }
        }
    })
    .await;
    assert_eq!(
        (u16::from(end.code), end.reason.as_str()),
        (4001, "as you wish")
    );
}
