//! A real registry of container images as a backend.

use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::harness::deadline::soon;
use crate::harness::ports::Reservation;

/// A running registry with an empty store. It builds the URLs of uploads from X-Forwarded-Proto and Host.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    _dir: TempDir,
    _child: Child,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = Reservation::new();
        let address = port.address();
        let root = dir.path().display();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {root}/store\n\
             http:\n  addr: {address}\n"
        );
        let path = dir.path().join("registry.yml");
        std::fs::write(&path, config).unwrap();
        drop(port);
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        soon(async {
            while TcpStream::connect(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self {
            address,
            _dir: dir,
            _child: child,
        }
    }
}
