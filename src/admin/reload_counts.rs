//! Counters of reloads by their result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reloads since the start. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct ReloadCounts(Arc<[AtomicU64; 2]>);

impl ReloadCounts {
    /// Counts a reload, which has taken effect if it `is_ok`.
    pub fn count(&self, is_ok: bool) {
        self.0[usize::from(is_ok)].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of reloads that took effect, or that did not.
    #[must_use]
    pub fn with_result(&self, is_ok: bool) -> u64 {
        self.0[usize::from(is_ok)].load(Ordering::Relaxed)
    }
}
