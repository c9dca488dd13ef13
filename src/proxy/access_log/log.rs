//! The access log: starts its one writer, and has the queue of each worker.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

use super::line_queue::LineQueue;
use super::options::AccessLogOptions;
use super::writer::Writer;
use crate::per_worker::{CachePadded, PerWorker};
use crate::tasks::Tasks;

/// Handle of one worker to a running access log. Clones are cheap and share the log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queues: Arc<PerWorker<Arc<CachePadded<LineQueue>>>>,
    own: Arc<CachePadded<LineQueue>>,
    reopen: Arc<Notify>,
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

    /// Queue of this worker's lines.
    pub(crate) fn queue(&self) -> Arc<CachePadded<LineQueue>> {
        Arc::clone(&self.own)
    }
}
