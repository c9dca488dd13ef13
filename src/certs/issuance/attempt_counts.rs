//! Counters of attempts to get a certificate, by their result.

use std::sync::atomic::{AtomicU64, Ordering};

/// Result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// There is a new certificate.
    Obtained,
    /// No CA has signed.
    Failed,
    /// A budget or a CA's pause has held the order back, so that no CA was asked.
    Held,
}

impl AttemptResult {
    const ALL: [Self; 3] = [Self::Obtained, Self::Failed, Self::Held];

    /// Returns the word for the result, as in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        ["obtained", "failed", "held"][self as usize]
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub(in crate::certs) struct AttemptCounts([AtomicU64; AttemptResult::ALL.len()]);

impl AttemptCounts {
    pub(super) fn count(&self, result: AttemptResult) {
        self.0[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of attempts with each result.
    pub(in crate::certs) fn by_result(&self) -> [(AttemptResult, u64); AttemptResult::ALL.len()] {
        AttemptResult::ALL.map(|result| (result, self.0[result as usize].load(Ordering::Relaxed)))
    }
}
