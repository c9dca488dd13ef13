//! The one task that owns the access log's file.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};

use super::line_queue::LineReceiver;
use super::options::AccessLogTarget;
use crate::tasks::Shutdown;

/// Time for which lines gather before they are written together.
const PAUSE: Duration = Duration::from_millis(20);
/// Interval at which the path is compared with the open file, and lost lines are reported.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of lines that are taken from one worker at once.
const BATCH: usize = 4096;

pub(super) struct Writer {
    sink: Sink,
    queues: Vec<LineReceiver>,
    checked: Instant,
    lost: u64,
    is_failing: bool,
}

struct Sink {
    file: File,
    /// Path of the file. `None` for standard output.
    path: Option<PathBuf>,
}

impl Writer {
    pub(super) fn open(target: &AccessLogTarget, queues: Vec<LineReceiver>) -> io::Result<Self> {
        let sink = match target {
            AccessLogTarget::Stdout => Sink {
                file: File::from_std(io::stdout().as_fd().try_clone_to_owned()?.into()),
                path: None,
            },
            AccessLogTarget::File(path) => Sink {
                file: File::from_std(open(path)?),
                path: Some(path.clone()),
            },
        };
        Ok(Self {
            sink,
            queues,
            checked: Instant::now(),
            lost: 0,
            is_failing: false,
        })
    }

    /// Writes lines until the shutdown, and then those that still wait. Ends earlier once all senders are gone.
    pub(super) async fn run(mut self, reopen: Arc<Notify>, shutdown: Shutdown) {
        let mut batch = Vec::new();
        loop {
            // The last lines of all may be among those that were lost.
            let (has_lost, check) = (self.has_lost(), self.checked + CHECK_INTERVAL);
            let is_last = tokio::select! {
                biased;
                is_over = poll_fn(|cx| self.poll_lines(cx, &mut batch)) => is_over,
                () = reopen.notified() => {
                    self.reopen().await;
                    continue;
                }
                () = shutdown.requested() => true,
                () = sleep_until(check), if has_lost => false,
            };
            self.write(&mut batch).await;
            if is_last || shutdown.is_requested() {
                break;
            }
            // Lines that arrive during the pause wake no task: they are written together after it.
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = shutdown.requested() => {}
            }
        }
        while poll_fn(|cx| Poll::Ready(self.poll_lines(cx, &mut batch) == Poll::Ready(false))).await
        {
            self.write(&mut batch).await;
        }
        self.report_lost();
    }

    /// Takes the waiting lines of all workers. Returns `true` once all senders are gone.
    fn poll_lines(&mut self, cx: &mut Context<'_>, batch: &mut Vec<String>) -> Poll<bool> {
        let mut is_over = true;
        for queue in &mut self.queues {
            // `Pending` registers the waker; zero lines mean that the channel is closed.
            is_over &= queue.lines.poll_recv_many(cx, batch, BATCH) == Poll::Ready(0);
        }
        if batch.is_empty() && !is_over {
            Poll::Pending
        } else {
            Poll::Ready(is_over)
        }
    }

    async fn write(&mut self, batch: &mut Vec<String>) {
        let count = batch.len() as u64;
        let bytes = batch.concat().into_bytes();
        batch.clear();
        let is_time = self.checked.elapsed() >= CHECK_INTERVAL;
        if is_time {
            self.checked = Instant::now();
            self.report_lost();
        }
        if (is_time || self.is_failing) && self.sink.has_moved().await {
            self.reopen().await;
        }
        match self.sink.write(&bytes).await {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                info!("the access log can be written again");
            }
            Ok(()) => {}
            Err(error) => self.fail(count, &error),
        }
    }

    async fn reopen(&mut self) {
        if let Err(error) = self.sink.reopen().await {
            self.fail(0, &error);
        }
    }

    /// Counts lost lines. Logs the error once, and again only after the file could be written in between.
    fn fail(&mut self, count: u64, error: &io::Error) {
        self.lost += count;
        if !std::mem::replace(&mut self.is_failing, true) {
            error!(%error, "the access log cannot be written, and its lines are lost; free disk space or correct the path");
        }
    }

    fn has_lost(&self) -> bool {
        self.lost > 0 || self.queues.iter().any(LineReceiver::has_dropped)
    }

    fn report_lost(&mut self) {
        let dropped: u64 = self.queues.iter().map(LineReceiver::take_dropped).sum();
        let lost = std::mem::take(&mut self.lost) + dropped;
        if lost > 0 {
            warn!(lost, "lines of the access log were lost");
        }
    }
}

impl Sink {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.file.flush().await
    }

    /// `true` if the path now leads to another file or to none, as after a log rotation.
    async fn has_moved(&self) -> bool {
        let Some(path) = &self.path else {
            return false;
        };
        let Ok(open) = self.file.metadata().await else {
            return true;
        };
        match tokio::fs::metadata(path).await {
            Ok(current) => (current.dev(), current.ino()) != (open.dev(), open.ino()),
            Err(_) => true,
        }
    }

    async fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = self.path.clone() {
            let opening = tokio::task::spawn_blocking(move || open(&path));
            self.file = File::from_std(opening.await??);
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<std::fs::File> {
    let is_pipe = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        // To open a named pipe for writing alone would block until it has a reader.
        .read(is_pipe)
        .mode(0o640)
        .open(path)
}
