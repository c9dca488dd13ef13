//! Reasons why an order is held back, with the time at which it may be placed.

use std::time::SystemTime;

use super::limits::Limit;
use crate::storage;

/// Reason why an order is held back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldReason {
    /// A budget is spent.
    #[error(
        "the budget of {} {what} in {} for {whose} at {issuer} is spent; the next one is free at {}",
        .limit.count, .limit.window_in_words(), humantime::format_rfc3339_seconds(*.until)
    )]
    Spent {
        /// Counted thing: `orders`, `new certificates` or `failed authorizations`.
        what: &'static str,
        /// Limit of the budget.
        limit: Limit,
        /// Owner of the budget: the account, a registered domain or a name.
        whose: String,
        /// Name of the issuer.
        issuer: String,
        /// Time at which the next one is available.
        until: SystemTime,
    },
    /// The CA has asked for a pause.
    #[error(
        "{issuer} accepts no orders for {whose} until {}, because it has answered: {reason}",
        humantime::format_rfc3339_seconds(*.until)
    )]
    Closed {
        /// Name of the issuer.
        issuer: String,
        /// Account or registered domain that must pause.
        whose: String,
        /// End of the pause.
        until: SystemTime,
        /// Failure that the CA reported.
        reason: String,
    },
}

impl HoldReason {
    /// Replaces the issuer's id by the operator's name for it.
    pub(in crate::certs) fn named(mut self, name: &str) -> Self {
        let (Self::Spent { issuer, .. } | Self::Closed { issuer, .. }) = &mut self;
        name.clone_into(issuer);
        self
    }

    /// Returns the time at which the order may be placed.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        match self {
            Self::Spent { until, .. } | Self::Closed { until, .. } => *until,
        }
    }
}

/// Reason why an order cannot be charged.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// A budget is spent, or the CA has asked for a pause.
    #[error("{0}")]
    Held(Box<HoldReason>),
    /// The windows cannot be read or written.
    #[error("{0}")]
    Storage(#[from] storage::Error),
}

impl From<HoldReason> for LimitError {
    fn from(held: HoldReason) -> Self {
        Self::Held(Box::new(held))
    }
}
