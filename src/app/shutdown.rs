//! The shutdown: the order in which the parts of a running proxy end.

use std::time::Duration;

use tokio::sync::oneshot;

use super::workers::Workers;
use crate::admin::Stopped;
use crate::tasks::Tasks;

/// Time for DNS records to be removed when the process stops.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the last responses of the admin socket.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for the last lines of the access log to be written, and for the last traces to be exported.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the process ends.
pub(super) enum End {
    /// A signal, by its name.
    Signal(&'static str),
    /// `proxy stop`, which waits to be told.
    Command(oneshot::Sender<Stopped>),
    /// Another process has taken over.
    Upgraded,
}

impl End {
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Signal(name) => name,
            Self::Command(_) => "proxy stop",
            Self::Upgraded => "upgrade",
        }
    }

    /// Asks the accept loops and connections of clients to end: at once, or over most of the `drain_timeout` if their clients
    /// have another process to go to.
    pub(super) fn begin(&self, connections: &Tasks, drain_timeout: Duration) {
        match self {
            Self::Signal(_) | Self::Command(_) => connections.stop(),
            // The last ones need time for their end, too.
            Self::Upgraded => connections.stop_within(drain_timeout / 5 * 4),
        }
    }
}

/// The parts that end when the process stops, in the order in which they end.
#[derive(Debug)]
pub(super) struct Shutdown {
    /// Time for the open connections to end.
    pub(super) timeout: Duration,
    /// Accept loops and connections of clients.
    pub(super) connections: Tasks,
    /// Health checks and connections to backends.
    pub(super) upstreams: Tasks,
    /// Certificates.
    pub(super) background: Tasks,
    /// The admin socket and metrics.
    pub(super) admin: Tasks,
    /// Removal of DNS records.
    pub(super) records: Tasks,
    pub(super) workers: Workers,
    /// Writers of the access log, and exporters of traces.
    pub(super) logs: Tasks,
}

impl Shutdown {
    /// Ends all parts, and tells `asker`. Returns the number of connections that were cut.
    pub(super) async fn run(self, asker: Option<oneshot::Sender<Stopped>>) -> usize {
        self.background.stop();
        self.admin.stop();
        self.records.stop();
        let cut = self.connections.drain(self.timeout).await;
        self.upstreams.drain(Duration::ZERO).await;
        if let Some(asker) = asker {
            let _ = asker.send(Stopped { cut });
        }
        self.admin.drain(ADMIN_TIMEOUT).await;
        self.background.drain(Duration::ZERO).await;
        self.records.drain(RECORDS_TIMEOUT).await;
        self.workers.halt();
        // Last, or requests would end after their log.
        self.logs.drain(LOG_TIMEOUT).await;
        cut
    }
}
