//! The admin socket of a running proxy and the commands that go to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::harness::proxy::{Proxy, command};

/// Output and exit code of a command.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs `proxy certs` on a data directory.
pub(crate) async fn certs(data: &Path, args: &[&str]) -> Outcome {
    run(data, &[&["certs"], args].concat()).await
}

/// Runs a command on a data directory.
pub(crate) async fn run(data: &Path, args: &[&str]) -> Outcome {
    let storage = format!("file:{}", data.display());
    let output = command().args(args).args(["--storage", &storage]).output();
    output.await.unwrap().into()
}

/// Asks the running proxy for its status.
pub(crate) async fn status(proxy: &Proxy) -> Value {
    let socket = proxy.data().join("admin.sock");
    let answer = ask(&socket, "GET /status HTTP/1.1\r\nhost: admin\r\n\r\n").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// Waits until the counters of refusals show these and no others. The proxy may count after its client has been told.
pub(crate) async fn refused(proxy: &Proxy, expected: &[(&str, u64)]) {
    let expected: BTreeMap<_, _> = expected.iter().copied().collect();
    let mut told = String::new();
    let counted = async {
        loop {
            let status = status(proxy).await;
            let refusals = status["refusals"].as_array().unwrap().iter();
            let counts: BTreeMap<_, _> = refusals
                .map(|refusal| {
                    let reason = refusal["reason"].as_str().unwrap();
                    (reason, refusal["count"].as_u64().unwrap())
                })
                .collect();
            if counts == expected {
                return;
            }
            told = format!("{counts:?}");
        }
    };
    let counted = timeout(Duration::from_secs(5), counted).await;
    assert!(counted.is_ok(), "{told}, and not {expected:?}");
}

/// Sends bytes to the socket and returns the whole answer.
pub(crate) async fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
