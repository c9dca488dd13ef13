//! A log in its own folder, and the service that writes it.

use std::path::Path;

use proxy::proxy::{AccessLog, AccessLogOptions, AccessLogTarget};
use proxy::tasks::Tasks;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::backends::origin::Origin;
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup};

pub(super) fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n{fields}\r\n")
}

/// A log in its own folder, and the service that writes it.
pub(super) struct Logged {
    pub(super) service: Service,
    pub(super) folder: TempDir,
    pub(super) _logs: Tasks,
}

impl Logged {
    pub(super) async fn new(
        change: impl FnOnce(&mut AccessLogOptions),
        setup: ServiceSetup,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("access.log");
        let mut options = AccessLogOptions::new(AccessLogTarget::File(path));
        change(&mut options);
        let logs = Tasks::new();
        let mut setup = setup;
        setup.access_log = Some(AccessLog::start(&options, 1, &logs).unwrap());
        Self {
            service: setup.start().await,
            folder,
            _logs: logs,
        }
    }

    /// Starts a service with JSON lines in front of this backend.
    pub(super) async fn serve(origin: &Origin) -> Self {
        let setup = ServiceSetup::new().site("www.example.org", &[origin.address]);
        Self::new(|_| (), setup).await
    }

    pub(super) async fn lines(&self, count: usize) -> Vec<String> {
        lines(&self.folder.path().join("access.log"), count).await
    }

    pub(super) async fn json(&self, count: usize) -> Vec<Value> {
        let lines = self.lines(count).await.into_iter();
        lines
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    }
}

/// Waits until a file has this number of lines.
pub(super) async fn lines(path: &Path, count: usize) -> Vec<String> {
    soon(async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}
