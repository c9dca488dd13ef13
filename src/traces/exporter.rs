//! The task that sends finished spans to the collector, in batches.

use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::collector::{Collector, CollectorError};
use super::otlp;
use super::span::Span;
use super::span_counts::{SpanCounts, SpanOutcome};
use crate::backoff::spread;
use crate::tasks::Shutdown;

/// Maximum number of spans in one message.
const BATCH: usize = 512;
/// Time for which spans gather before they are sent together.
const PAUSE: Duration = Duration::from_secs(1);
/// Pauses after failures in a row. The last one repeats.
const RETRIES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(30),
];
/// Longest pause that a collector can ask for.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Time for the last spans when the process stops.
const LAST: Duration = Duration::from_secs(3);

/// Sends finished spans to the collector. A batch that it does not take now is sent again; meanwhile the queues fill up, and
/// further spans are dropped.
#[derive(Debug)]
pub(super) struct Exporter {
    collector: Collector,
    resource: Vec<(&'static str, String)>,
    queues: Vec<Receiver<Span>>,
    counts: SpanCounts,
    /// Spans of the batch that is being sent.
    unsent: u64,
    /// Failures in a row.
    failures: usize,
    /// Number of spans that were dropped at the last look, and whether the log has been told since the queues overflow.
    dropped: u64,
    is_told: bool,
}

impl Exporter {
    pub(super) fn new(
        collector: Collector,
        service: &str,
        queues: Vec<Receiver<Span>>,
        counts: SpanCounts,
    ) -> Self {
        Self {
            collector,
            resource: resource(service),
            queues,
            dropped: counts.of(SpanOutcome::Dropped),
            counts,
            unsent: 0,
            failures: 0,
            is_told: false,
        }
    }

    /// Sends spans until all senders are gone, or until the shutdown, at which the last spans are sent once.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let late = async {
            shutdown.requested().await;
            sleep(LAST).await;
        };
        tokio::select! {
            biased;
            () = self.export(&shutdown) => {}
            () = late => {}
        }
        let mut left = mem::take(&mut self.unsent);
        for queue in &mut self.queues {
            while queue.try_recv().is_ok() {
                left += 1;
            }
        }
        if left > 0 {
            self.counts.add(SpanOutcome::Dropped, left);
            warn!(
                spans = left,
                "spans were lost at the end, because the collector did not take them"
            );
        }
    }

    async fn export(&mut self, shutdown: &Shutdown) {
        loop {
            let mut batch = Vec::new();
            let mut is_over = tokio::select! {
                biased;
                is_over = poll_fn(|cx| self.poll_spans(cx, &mut batch, 1)) => is_over,
                () = shutdown.requested() => true,
            };
            if !is_over && !shutdown.is_requested() {
                // Spans that arrive meanwhile are sent together.
                tokio::select! {
                    over = timeout(PAUSE, poll_fn(|cx| self.poll_spans(cx, &mut batch, BATCH))) => {
                        is_over = over.unwrap_or(false);
                    }
                    () = shutdown.requested() => {}
                }
            }
            if !batch.is_empty() {
                self.deliver(batch, shutdown).await;
                continue;
            }
            self.report_dropped();
            if is_over {
                return;
            }
        }
    }

    /// Takes waiting spans of all workers, until the batch has `least` of them. Returns `true` once all senders are gone.
    fn poll_spans(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Vec<Span>,
        least: usize,
    ) -> Poll<bool> {
        let mut is_over = true;
        for queue in &mut self.queues {
            loop {
                let room = BATCH - batch.len();
                // `Pending` registers the waker; zero spans mean that the channel is closed.
                match queue.poll_recv_many(cx, batch, room) {
                    Poll::Ready(0) if room > 0 => break,
                    Poll::Ready(spans) if spans > 0 => {}
                    _ => {
                        is_over = false;
                        break;
                    }
                }
            }
        }
        if batch.len() < least && !is_over {
            Poll::Pending
        } else {
            Poll::Ready(is_over)
        }
    }

    /// Sends a batch, again and again until the collector takes it or refuses it for good. At the shutdown it is sent once.
    async fn deliver(&mut self, batch: Vec<Span>, shutdown: &Shutdown) {
        self.unsent = batch.len() as u64;
        let message = Bytes::from(otlp::encode(&self.resource, batch));
        loop {
            let is_last = shutdown.is_requested();
            let error = match self.collector.send(message.clone()).await {
                Ok(refusals) => {
                    let refused = refusals.spans.min(self.unsent);
                    self.settle(SpanOutcome::Rejected, refused);
                    self.settle(SpanOutcome::Exported, self.unsent);
                    if refused > 0 {
                        warn!(spans = refused, reason = %refusals.reason, "the collector has refused spans");
                    }
                    break self.succeed();
                }
                Err(error) => error,
            };
            let pause = self.fail(&error);
            if !error.may_pass() {
                break self.settle(SpanOutcome::Rejected, self.unsent);
            }
            if is_last {
                break self.settle(SpanOutcome::Dropped, self.unsent);
            }
            self.report_dropped();
            tokio::select! {
                () = sleep(pause) => {}
                () = shutdown.requested() => {}
            }
        }
        self.report_dropped();
    }

    /// Counts spans of the batch.
    fn settle(&mut self, outcome: SpanOutcome, spans: u64) {
        self.counts.add(outcome, spans);
        self.unsent -= spans;
    }

    /// Counts a failure, and returns the pause after it. Only the first in a row is told.
    fn fail(&mut self, error: &CollectorError) -> Duration {
        let step = self.failures.min(RETRIES.len() - 1);
        let own = spread(RETRIES[step], 0.2);
        let asked = error.retry_after().unwrap_or_default();
        let pause = own.max(asked.min(LONGEST_RETRY));
        if self.failures == 0 {
            warn!(%error, retry_in = ?pause, "spans cannot be exported");
        } else {
            debug!(%error, retry_in = ?pause, "spans cannot be exported");
        }
        self.failures += 1;
        pause
    }

    fn succeed(&mut self) {
        if mem::take(&mut self.failures) > 0 {
            info!("spans are exported again");
        }
    }

    /// Tells that spans were dropped, once until none are any more.
    fn report_dropped(&mut self) {
        let dropped = self.counts.of(SpanOutcome::Dropped);
        let spans = dropped - mem::replace(&mut self.dropped, dropped);
        if spans == 0 {
            self.is_told = false;
        } else if !mem::replace(&mut self.is_told, true) {
            warn!(
                spans,
                "spans are dropped, because the collector takes them too slowly or not at all; lower `sample` of `tracing`, or see to the collector"
            );
        }
    }
}

/// Attributes of this process.
fn resource(service: &str) -> Vec<(&'static str, String)> {
    let mut resource = vec![
        ("service.name", service.to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        resource.push(("host.name", host.trim().to_owned()));
    }
    resource
}
