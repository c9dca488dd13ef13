//! Slow start: a backend that has just recovered gets only a part of its share, which rises with time.

use std::time::Duration;

/// Share of a backend in good health, in thousandths of its weight.
pub(super) const FULL_SHARE: u32 = 1000;
/// Share of a backend that has just recovered.
pub(super) const FIRST_SHARE: u32 = FULL_SHARE / 10;

/// Length of slow start in milliseconds; zero turns it off.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowStart(u64);

impl SlowStart {
    pub(super) fn new(length: Duration) -> Self {
        Self(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn is_on(self) -> bool {
        self.0 > 0
    }

    /// Share of a backend that recovered so many milliseconds ago. Returns `None` when slow start is over.
    pub(super) fn share(self, since_recovery: u64) -> Option<u32> {
        if since_recovery >= self.0 {
            return None;
        }
        let risen = u64::from(FULL_SHARE - FIRST_SHARE).saturating_mul(since_recovery) / self.0;
        Some(FIRST_SHARE + u32::try_from(risen).unwrap_or(0))
    }
}
