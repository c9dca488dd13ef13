//! Reasons why an order cannot be paid for.

use super::held::Held;
use crate::storage;

/// A reason why an order cannot be paid for.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// A budget is spent, or the CA wants to be left alone.
    #[error("{0}")]
    Held(Box<Held>),
    /// The account books cannot be read or written.
    #[error("{0}")]
    Storage(#[from] storage::Error),
}

impl From<Held> for PaymentError {
    fn from(held: Held) -> Self {
        Self::Held(Box::new(held))
    }
}
