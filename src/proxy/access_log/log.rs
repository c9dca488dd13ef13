//! The access log: starts its one writer, and begins the entries of requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, StatusCode};
use tokio::sync::Notify;

use super::entry::LogEntry;
use super::line_queue::LineQueue;
use super::options::AccessLogOptions;
use super::writer::Writer;
use crate::per_worker::{CachePadded, PerWorker};
use crate::proxy::error::{Reason, RejectedEarly};
use crate::tasks::Tasks;

/// Handle of one worker to a running access log. Clones are cheap and share the log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queues: Arc<PerWorker<Arc<CachePadded<LineQueue>>>>,
    own: Arc<CachePadded<LineQueue>>,
    reopen: Arc<Notify>,
}

/// Response that was sent without the service, such as a redirect to HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// Status of the response.
    pub status: StatusCode,
    /// Size of its body in bytes.
    pub bytes: u64,
    /// Reason of the refusal, if the request was refused.
    pub reason: Option<Reason>,
}

impl AccessLog {
    /// Opens the log for a number of `workers`, and spawns its writer among `tasks`. The writer ends after the shutdown
    /// is requested and the waiting lines are written, or once nothing holds the log any more.
    ///
    /// Blocks while the file is opened.
    pub fn start(options: &AccessLogOptions, workers: usize, tasks: &Tasks) -> io::Result<Self> {
        let queues = (0..workers.max(1)).map(|_| LineQueue::open(options));
        let (queues, readers): (Vec<_>, Vec<_>) = queues.unzip();
        let queues = PerWorker::from_iter(queues);
        let log = Self {
            own: Arc::clone(&queues[0]),
            queues: Arc::new(queues),
            reopen: Arc::new(Notify::new()),
        };
        let writer = Writer::open(&options.target, readers)?;
        tasks.spawn(writer.run(Arc::clone(&log.reopen), tasks.shutdown()));
        Ok(log)
    }

    /// Returns the handle of the worker with this number.
    #[must_use]
    pub fn for_worker(&self, worker: usize) -> Self {
        Self {
            own: Arc::clone(&self.queues[worker]),
            ..self.clone()
        }
    }

    /// Reopens the file at its path, for use after the file was rotated.
    pub fn reopen(&self) {
        self.reopen.notify_one();
    }

    /// Logs a request that was answered without the service.
    pub fn note<B>(&self, request: &Request<B>, client: SocketAddr, response: DirectResponse) {
        let mut entry = self.begin(request, client);
        if let Some(reason) = response.reason {
            entry.refused(reason);
        }
        entry.answered(response.status, false);
        entry.sent(response.bytes);
    }

    /// Logs a request that could not be parsed.
    pub fn note_rejected_early(&self, client: SocketAddr, rejected: RejectedEarly) {
        let mut entry = LogEntry::unreadable(Arc::clone(&self.own), client, rejected.version);
        entry.refused(rejected.reason);
        entry.answered(rejected.status, false);
    }

    /// Begins the entry of a request. It is boxed to keep the futures of requests small.
    pub(crate) fn begin<B>(&self, request: &Request<B>, client: SocketAddr) -> Box<LogEntry> {
        Box::new(LogEntry::new(Arc::clone(&self.own), request, client))
    }
}
