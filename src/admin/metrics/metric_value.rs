//! Values of gauges.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns a number as the value of a gauge.
pub(super) fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Returns a time in seconds since 1970.
pub(super) fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| number(since.as_secs()))
}
