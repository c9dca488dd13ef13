//! The queue of one worker's log lines, from its requests to the task that writes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::options::{AccessLogFormat, AccessLogOptions};
use crate::per_worker::CachePadded;

/// Maximum number of waiting lines of one worker. More are dropped and counted, so that a slow disk delays no request.
const CAPACITY: usize = 8192;

/// The sending end, which the requests of one worker share.
#[derive(Debug)]
pub(crate) struct LineQueue {
    lines: mpsc::Sender<String>,
    dropped: Arc<CachePadded<AtomicU64>>,
    format: AccessLogFormat,
    has_query: bool,
}

/// The receiving end, which the writer owns.
#[derive(Debug)]
pub(super) struct LineReceiver {
    pub(super) lines: mpsc::Receiver<String>,
    dropped: Arc<CachePadded<AtomicU64>>,
}

impl LineQueue {
    pub(super) fn open(options: &AccessLogOptions) -> (Arc<CachePadded<Self>>, LineReceiver) {
        let (sender, lines) = mpsc::channel(CAPACITY);
        let dropped = Arc::default();
        let queue = Self {
            lines: sender,
            dropped: Arc::clone(&dropped),
            format: options.format,
            has_query: options.query,
        };
        (
            Arc::new(CachePadded::new(queue)),
            LineReceiver { lines, dropped },
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

impl LineReceiver {
    /// `true` if lines were dropped since the last call of [`take_dropped`](Self::take_dropped).
    pub(super) fn has_dropped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed) > 0
    }

    /// Returns the number of lines dropped since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        // Mostly a plain load: it leaves the cache line shared with the worker that counts.
        match self.dropped.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.dropped.swap(0, Ordering::Relaxed),
        }
    }
}
