//! The queue of one worker's finished spans, from its requests to the task that exports them.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::span::Span;
use super::span_counts::{SpanCounts, SpanOutcome};
use crate::per_worker::CachePadded;

/// Maximum number of waiting spans of one worker. More are dropped and counted, so that a slow collector delays no request.
const CAPACITY: usize = 2048;

/// The sending end, which the requests of one worker share.
#[derive(Debug)]
pub(super) struct SpanQueue {
    spans: mpsc::Sender<Span>,
    counts: SpanCounts,
}

impl SpanQueue {
    pub(super) fn open(counts: &SpanCounts) -> (Arc<CachePadded<Self>>, mpsc::Receiver<Span>) {
        let (spans, receiver) = mpsc::channel(CAPACITY);
        let counts = counts.clone();
        (Arc::new(CachePadded::new(Self { spans, counts })), receiver)
    }

    pub(super) fn send(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.counts.add(SpanOutcome::Dropped, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::id::{SpanId, TraceId};
    use super::super::span::{Attributes, SpanKind};
    use super::*;

    #[test]
    fn spans_beyond_the_queue_are_dropped_and_counted() {
        let counts = SpanCounts::default();
        let (queue, mut receiver) = SpanQueue::open(&counts);
        let span = Span {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            parent: None,
            kind: SpanKind::Server,
            name: "GET".to_owned(),
            start: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            attributes: Attributes::default(),
        };
        for _ in 0..CAPACITY + 3 {
            queue.send(span.clone());
        }
        assert_eq!(counts.of(SpanOutcome::Dropped), 3);
        let mut received = 0;
        while receiver.try_recv().is_ok() {
            received += 1;
        }
        assert_eq!(received, CAPACITY);
    }
}
