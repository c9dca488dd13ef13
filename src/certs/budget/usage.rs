//! What an attempt to get a certificate has used of what was paid for.

use std::time::Duration;

/// How far an attempt came at the CA, as far as its limits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No order was placed.
    Nothing,
    /// An order was placed, and no certificate was signed.
    Order,
    /// A certificate was signed, or may have been.
    Certificate,
}

/// The end of an attempt, as its CA counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How far the attempt came.
    pub reach: Reach,
    /// Number of authorizations that the CA has found wanting.
    pub failed_authorizations: u32,
    /// The CA's answer, if it asked to be left alone.
    pub retry_later: Option<RetryLater>,
}

/// The answer of a CA that asks to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryLater {
    /// The HTTP status.
    pub status: u16,
    /// The CA's own words.
    pub detail: String,
    /// The time that it asks for.
    pub wait: Duration,
    /// The failure in one sentence.
    pub reason: String,
}

impl Usage {
    /// The end of an attempt that gave a certificate.
    pub const SIGNED: Self = Self {
        reach: Reach::Certificate,
        failed_authorizations: 0,
        retry_later: None,
    };
}
