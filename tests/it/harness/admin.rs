//! The admin socket of a running proxy and the commands that go to it.

use std::path::Path;
use std::process::Output;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::proxy::command;

/// What a command left behind.
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
    let storage = format!("file:{}", data.display());
    let output = command()
        .arg("certs")
        .args(args)
        .args(["--storage", &storage])
        .output();
    output.await.unwrap().into()
}

/// Sends bytes to the socket and returns all that comes back.
pub(crate) async fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // The server may hang up before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
