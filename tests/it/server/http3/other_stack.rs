//! HTTP/3 with the client of another stack: aioquic.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::requests::start;
use crate::harness::admin::refused;
use crate::harness::backends::web_app::App;
use crate::harness::clients::http3::Http3;
use crate::harness::deadline::soon;
use crate::harness::proxy::Proxy;
use crate::harness::skip::skip;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Connections of random frames. Each seed is another one.
const RANDOM_CONNECTIONS: u32 = 25;

/// A proxy that a client of the other stack can reach. `None` if there is no such client.
async fn scene() -> Option<(Proxy, App)> {
    if !Path::new(ROOT).join(".cache/python/bin/python").exists() {
        skip("there is no aioquic; tests/fetch_python gets it");
        return None;
    }
    let app = App::start().await;
    let proxy = start(&app.address.to_string(), "").await;
    drop(proxy.client().connect(proxy.https(), "localhost").await);
    Some((proxy, app))
}

/// Runs the client; returns what it tells.
async fn client(proxy: &Proxy, scenario: &str, seed: &str) -> Value {
    let root = proxy.data().join("internal-ca/root.pem");
    let (ip, port) = (proxy.https().ip(), proxy.https().port());
    let output = Command::new(Path::new(ROOT).join(".cache/python/bin/python"))
        .arg(Path::new(ROOT).join("tests/python/http3_client.py"))
        .arg(root)
        .args([
            &ip.to_string(),
            &port.to_string(),
            "localhost",
            scenario,
            seed,
        ])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = soon(output).await.unwrap();
    let told = serde_json::from_slice(&output.stdout);
    told.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_the_other_stack_are_answered() {
    let Some((proxy, _app)) = scene().await else {
        return;
    };
    let told = client(&proxy, "requests", "").await;
    assert_eq!(told["lengths"], serde_json::json!([0, 1, 70_000, 500_000]));
    assert_eq!(told["status"], serde_json::json!(vec!["200"; 5]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_frame_that_is_not_allowed_closes_the_connection_with_its_code() {
    let Some((proxy, _app)) = scene().await else {
        return;
    };
    for (frame, code) in [
        ("data-first", 0x105),
        ("settings-on-request", 0x105),
        ("http2-frame", 0x105),
        ("push-promise", 0x105),
        ("bad-qpack", 0x200),
    ] {
        let told = client(&proxy, "malformed", frame).await;
        assert_eq!(told["closed"], code, "{frame}");
    }
    refused(&proxy, &[("http3-protocol", 5)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_frames_and_ends_at_any_moment_harm_nobody_else() {
    let Some((mut proxy, _app)) = scene().await else {
        return;
    };
    for seed in 0..RANDOM_CONNECTIONS {
        client(&proxy, "random", &seed.to_string()).await;
    }
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    assert_eq!(http3.get("/").await.body, "hello");
    drop(http3);
    proxy.signal(rustix::process::Signal::TERM);
    assert!(proxy.ended().await.success());
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}
