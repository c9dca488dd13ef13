//! The queue of one worker's lines, from its requests to the task that writes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::options::{AccessLogFormat, AccessLogOptions};
use crate::per_worker::CachePadded;

/// Lines of one worker that may wait. Lines beyond are dropped and counted: a slow disk delays no request.
const WAITING: usize = 8192;

/// The end of a queue that the requests of one worker write to.
#[derive(Debug)]
pub(super) struct WorkerQueue {
    lines: mpsc::Sender<String>,
    dropped: Arc<CachePadded<AtomicU64>>,
    format: AccessLogFormat,
    has_query: bool,
}

/// The end of a queue that is read by the writer.
#[derive(Debug)]
pub(super) struct WorkerQueueReader {
    pub(super) lines: mpsc::Receiver<String>,
    dropped: Arc<CachePadded<AtomicU64>>,
}

impl WorkerQueue {
    pub(super) fn open(options: &AccessLogOptions) -> (Arc<CachePadded<Self>>, WorkerQueueReader) {
        let (sender, lines) = mpsc::channel(WAITING);
        let dropped = Arc::default();
        let queue = Self {
            lines: sender,
            dropped: Arc::clone(&dropped),
            format: options.format,
            has_query: options.query,
        };
        (
            Arc::new(CachePadded::new(queue)),
            WorkerQueueReader { lines, dropped },
        )
    }

    pub(super) fn format(&self) -> AccessLogFormat {
        self.format
    }

    pub(super) fn has_query(&self) -> bool {
        self.has_query
    }

    pub(super) fn send(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl WorkerQueueReader {
    /// Returns the number of lines that found no room since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        // Reading alone leaves the cache line with the worker that counts.
        match self.dropped.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.dropped.swap(0, Ordering::Relaxed),
        }
    }
}
