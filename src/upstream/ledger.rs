//! What one runtime keeps of an upstream.

use super::balance::Turns;
use super::retry::RetryBudget;

/// Whose turn it is and how many retries are left, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Ledger {
    pub(super) turns: Turns,
    pub(super) budget: RetryBudget,
}

impl Ledger {
    /// For so many backends, with so many retries for a hundred requests.
    pub(super) fn new(backends: usize, retry_percent: u16) -> Self {
        Self {
            turns: Turns::new(backends),
            budget: RetryBudget::new(retry_percent),
        }
    }
}
