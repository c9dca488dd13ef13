//! Why an order is held back, and until when.

use std::time::SystemTime;

use super::limits::Limit;

/// What holds an order back, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Held {
    /// One of our own budgets is used up.
    #[error(
        "the budget of {} {what} in {} for {whose} at {issuer} is spent; the next one is free at {}",
        .limit.count, .limit.window_in_words(), humantime::format_rfc3339_seconds(*.until)
    )]
    Spent {
        /// What is counted: `orders`, `new certificates`, `failed authorizations`.
        what: &'static str,
        /// How many there are.
        limit: Limit,
        /// The account, a registered domain or a name.
        whose: String,
        /// The CA.
        issuer: String,
        /// When the next one is free.
        until: SystemTime,
    },
    /// The CA asked to be left alone.
    #[error(
        "{issuer} takes no orders for {whose} until {}, as it said: {reason}",
        humantime::format_rfc3339_seconds(*.until)
    )]
    Closed {
        /// The CA.
        issuer: String,
        /// The account or a registered domain.
        whose: String,
        /// When it may be asked again.
        until: SystemTime,
        /// What it said.
        reason: String,
    },
}

impl Held {
    /// Replaces the issuer's id by the operator's name for it.
    pub(in crate::certs) fn named(mut self, name: &str) -> Self {
        let (Self::Spent { issuer, .. } | Self::Closed { issuer, .. }) = &mut self;
        name.clone_into(issuer);
        self
    }

    /// When the next order may be placed.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        match self {
            Self::Spent { until, .. } | Self::Closed { until, .. } => *until,
        }
    }
}
