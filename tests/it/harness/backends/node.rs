//! Programs that run on Node.js, with the packages that `tests/fetch_node` brings.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::deadline::soon;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn packages() -> PathBuf {
    Path::new(ROOT).join(".cache/node/node_modules")
}

/// Returns the path of a program of the system.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Checks that programs on Node.js can run here; the error says why not.
pub(crate) fn is_there() -> Result<(), &'static str> {
    if program("node").is_none() {
        return Err("there is no node; tests/run installs it");
    }
    match packages().join("ws").is_dir() && packages().join("playwright-core").is_dir() {
        true => Ok(()),
        false => Err("the packages of tests/node are not there; tests/fetch_node gets them"),
    }
}

/// Finds the browser; the error says why none can be used.
pub(crate) fn chromium() -> Result<PathBuf, &'static str> {
    if program("certutil").is_none() {
        return Err("there is no certutil; tests/run installs it");
    }
    program("chromium").ok_or("there is no chromium; tests/run installs it")
}

/// Builds a command that runs a script of `tests/node`.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(Path::new(ROOT).join("tests/node").join(name))
        .env("NODE_PATH", packages())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A web app on Node.js; dropping the value ends it.
pub(crate) struct NodeApp {
    pub(crate) address: SocketAddr,
    _child: Child,
}

impl NodeApp {
    pub(crate) async fn start() -> Self {
        let mut child = script("app.cjs").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = soon(lines.next_line()).await.unwrap().unwrap();
        Self {
            address: ([127, 0, 0, 1], port.parse().unwrap()).into(),
            _child: child,
        }
    }
}
