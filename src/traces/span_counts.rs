//! Counters of spans by what became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// End of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOutcome {
    /// The collector has taken it.
    Exported,
    /// There was no room for it in the queue, or no time to send it before the end of the process.
    Dropped,
    /// The collector has refused it.
    Rejected,
}

impl SpanOutcome {
    /// All outcomes.
    pub const ALL: [Self; 3] = [Self::Exported, Self::Dropped, Self::Rejected];

    /// The outcome as one word, which does not change between versions.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Dropped => "dropped",
            Self::Rejected => "rejected",
        }
    }
}

/// Spans since the start, by what became of them. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct SpanCounts(Arc<[AtomicU64; 3]>);

impl SpanCounts {
    pub(super) fn add(&self, outcome: SpanOutcome, spans: u64) {
        self.0[outcome as usize].fetch_add(spans, Ordering::Relaxed);
    }

    /// Number of spans with this outcome.
    #[must_use]
    pub fn of(&self, outcome: SpanOutcome) -> u64 {
        self.0[outcome as usize].load(Ordering::Relaxed)
    }
}
