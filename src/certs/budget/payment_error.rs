//! Reasons why an order cannot be charged.

use super::held::Held;
use crate::storage;

/// Reason why an order cannot be charged.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// A budget is spent, or the CA has asked for a pause.
    #[error("{0}")]
    Held(Box<Held>),
    /// The ledgers cannot be read or written.
    #[error("{0}")]
    Storage(#[from] storage::Error),
}

impl From<Held> for PaymentError {
    fn from(held: Held) -> Self {
        Self::Held(Box::new(held))
    }
}
