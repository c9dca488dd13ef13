//! The part of its charges that an attempt has used.

use std::time::Duration;

/// Progress of an attempt, as far as it matters for the limits of the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No order was placed.
    Nothing,
    /// An order was placed, but no certificate was signed.
    Order,
    /// A certificate was signed, or may have been.
    Certificate,
}

/// Usage of an attempt, as its CA counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Progress of the attempt.
    pub reach: Reach,
    /// Number of failed authorizations.
    pub failed_authorizations: u32,
    /// Answer of the CA, if it asked for a pause.
    pub retry_later: Option<RetryLater>,
}

/// Answer of a CA that asks for a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryLater {
    /// HTTP status.
    pub status: u16,
    /// Detail text of the CA.
    pub detail: String,
    /// Length of the pause.
    pub wait: Duration,
    /// Failure in one sentence.
    pub reason: String,
}

impl Usage {
    /// Usage of an attempt that obtained a certificate.
    pub const SIGNED: Self = Self {
        reach: Reach::Certificate,
        failed_authorizations: 0,
        retry_later: None,
    };
}
