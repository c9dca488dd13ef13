//! The access log: where requests begin their entries, and where its one writer is started.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, StatusCode};
use tokio::sync::Notify;

use super::entry::LogEntry;
use super::options::AccessLogOptions;
use super::worker_queue::WorkerQueue;
use super::writer::Writer;
use crate::per_worker::{CachePadded, PerWorker};
use crate::proxy::error::{Reason, RejectedEarly};
use crate::tasks::Tasks;

/// A running access log, as the requests of one worker see it. Clones are cheap and the same log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queues: Arc<PerWorker<Arc<CachePadded<WorkerQueue>>>>,
    own: Arc<CachePadded<WorkerQueue>>,
    reopen: Arc<Notify>,
}

/// A response that was given without the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// The status.
    pub status: StatusCode,
    /// Bytes of its body.
    pub bytes: u64,
    /// Why the request was refused, if it was.
    pub reason: Option<Reason>,
}

impl AccessLog {
    /// Opens the log for `workers`. One of `tasks` writes it, to the last line that waits when they stop, or to the end
    /// of the last request that knows the log.
    ///
    /// Blocks while the file is opened.
    pub fn start(options: &AccessLogOptions, workers: usize, tasks: &Tasks) -> io::Result<Self> {
        let queues = (0..workers.max(1)).map(|_| WorkerQueue::open(options));
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

    /// Returns the log as the worker with this number sees it.
    #[must_use]
    pub fn for_worker(&self, worker: usize) -> Self {
        Self {
            own: Arc::clone(&self.queues[worker]),
            ..self.clone()
        }
    }

    /// Reopens the file under its path, after it was moved.
    pub fn reopen(&self) {
        self.reopen.notify_one();
    }

    /// Writes the line of a request that was answered without the service.
    pub fn note<B>(&self, request: &Request<B>, client: SocketAddr, response: DirectResponse) {
        let mut entry = self.begin(request, client);
        if let Some(reason) = response.reason {
            entry.refused(reason);
        }
        entry.answered(response.status, false);
        entry.sent(response.bytes);
    }

    /// Writes the line of a request that could not be read.
    pub fn note_rejected_early(&self, client: SocketAddr, rejected: RejectedEarly) {
        let mut entry = LogEntry::unreadable(Arc::clone(&self.own), client, rejected.version);
        entry.refused(rejected.reason);
        entry.answered(rejected.status, false);
    }

    /// Begins the entry of a request. It lies on the heap, so that what every request carries has only a pointer to it.
    pub(in crate::proxy) fn begin<B>(
        &self,
        request: &Request<B>,
        client: SocketAddr,
    ) -> Box<LogEntry> {
        Box::new(LogEntry::new(Arc::clone(&self.own), request, client))
    }
}
