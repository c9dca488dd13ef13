//! Rotel, a collector of OpenTelemetry, which `tests/fetch_rotel` brings.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use proxy::tasks::Tasks;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::harness::deadline::soon;
use crate::harness::output_lines::follow;
use crate::harness::ports::Reservation;

fn agent() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(".cache/rotel/rotel/rotel-agent")
}

/// A running collector, which prints what it receives; dropping the value ends it.
pub(crate) struct Rotel {
    pub(crate) address: SocketAddr,
    output: watch::Receiver<String>,
    _child: Child,
    _readers: Tasks,
}

impl Rotel {
    /// Starts the collector. `None` if it is not there, or cannot run here.
    pub(crate) async fn start() -> Option<Self> {
        let version = Command::new(agent()).arg("--version").output().await;
        if !version.is_ok_and(|version| version.status.success()) {
            return None;
        }
        let ports = [Reservation::new(), Reservation::new()];
        let [http, grpc] = [ports[0].address(), ports[1].address()];
        drop(ports);
        let mut child = Command::new(agent())
            .args(["start", "--exporter", "blackhole"])
            .args(["--otlp-http-endpoint", &http.to_string()])
            .args(["--otlp-grpc-endpoint", &grpc.to_string()])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let readers = Tasks::new();
        let output = follow(child.stdout.take(), &readers);
        soon(async { while TcpStream::connect(http).await.is_err() {} }).await;
        Some(Self {
            address: http,
            output,
            _child: child,
            _readers: readers,
        })
    }

    /// Waits until the collector has printed all these texts.
    pub(crate) async fn printed(&mut self, texts: &[String]) -> String {
        let has_all = |output: &String| texts.iter().all(|text| output.contains(text));
        let output = soon(self.output.wait_for(has_all)).await.unwrap();
        output.clone()
    }
}
