//! The way of lines from the requests to the one task that writes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Request, StatusCode};
use tokio::sync::{Notify, mpsc};

use super::entry::Entry;
use super::options::{AccessLogFormat, AccessLogOptions};
use super::writer::Writer;
use crate::proxy::error::{Reason, RejectedEarly};
use crate::proxy::request::ConnInfo;
use crate::tasks::Tasks;

/// How many lines of one runtime may wait. Lines beyond are dropped and counted: a slow disk delays no request.
const WAITING: usize = 8192;

/// A running access log, as the requests of one runtime see it. Clones are cheap and the same log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    lanes: Arc<[Arc<Lane>]>,
    own: Arc<Lane>,
    reopen: Arc<Notify>,
}

/// The way of one runtime's lines, which no other writes to.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lane {
    lines: mpsc::Sender<String>,
    dropped: Arc<Dropped>,
    format: AccessLogFormat,
    has_query: bool,
}

/// How many lines of one runtime found no room, since this was asked last.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Dropped(AtomicU64);

impl Dropped {
    pub(super) fn take(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0.swap(0, Ordering::Relaxed),
        }
    }
}

impl AccessLog {
    /// Opens the log for so many runtimes. One of `tasks` writes it, to the last line that was there when they
    /// stop, or to the end of the last request that knows the log.
    ///
    /// Blocks while the file is opened.
    pub fn start(options: &AccessLogOptions, workers: usize, tasks: &Tasks) -> io::Result<Self> {
        let (mut lanes, mut lines) = (Vec::new(), Vec::new());
        let mut dropped = Vec::new();
        for _ in 0..workers.max(1) {
            let (sender, receiver) = mpsc::channel(WAITING);
            lines.push(receiver);
            dropped.push(Arc::<Dropped>::default());
            lanes.push(Arc::new(Lane {
                lines: sender,
                dropped: dropped.last().map(Arc::clone).unwrap_or_default(),
                format: options.format,
                has_query: options.query,
            }));
        }
        let lanes: Arc<[Arc<Lane>]> = lanes.into();
        let log = Self {
            own: Arc::clone(&lanes[0]),
            lanes,
            reopen: Arc::new(Notify::new()),
        };
        let writer = Writer::open(&options.target, (lines, dropped))?;
        tasks.spawn(writer.run(Arc::clone(&log.reopen), tasks.shutdown()));
        Ok(log)
    }

    /// The log as the runtime of this number sees it.
    #[must_use]
    pub fn for_worker(&self, worker: usize) -> Self {
        Self {
            own: Arc::clone(&self.lanes[worker % self.lanes.len()]),
            ..self.clone()
        }
    }

    /// Has the file opened anew under its path, after it was moved.
    pub fn reopen(&self) {
        self.reopen.notify_one();
    }

    /// Writes the line of a request that was answered without the service, with so many bytes of a body.
    pub fn note<B>(
        &self,
        request: &Request<B>,
        conn: &ConnInfo,
        (status, bytes): (StatusCode, u64),
        reason: Option<Reason>,
    ) {
        let mut entry = self.begin(request, conn);
        if let Some(reason) = reason {
            entry.refused(reason);
        }
        entry.answered(status, false);
        entry.sent(bytes);
    }

    /// Writes the line of a request that could not be read.
    pub fn note_rejected_early(&self, conn: &ConnInfo, unread: RejectedEarly) {
        let mut entry = Entry::unread(Arc::clone(&self.own), conn, unread.version);
        entry.refused(unread.reason);
        entry.answered(unread.status, false);
    }

    /// Begins the record of a request. On the heap, for only a pointer is to be in what is there for every request.
    pub(in crate::proxy) fn begin<B>(&self, request: &Request<B>, conn: &ConnInfo) -> Box<Entry> {
        Box::new(Entry::new(Arc::clone(&self.own), request, conn))
    }
}

impl Lane {
    pub(super) fn format(&self) -> AccessLogFormat {
        self.format
    }

    pub(super) fn has_query(&self) -> bool {
        self.has_query
    }

    pub(super) fn send(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.dropped.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
