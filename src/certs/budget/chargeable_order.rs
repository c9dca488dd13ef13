//! Orders and attempts as the limits count them.

use std::time::Duration;

use super::limits::Limits;
use crate::name::HostPattern;

/// Order to be charged.
#[derive(Clone, Copy, Debug)]
pub struct ChargeableOrder<'a> {
    /// Id of the CA.
    pub issuer: &'a str,
    /// Name of the account at the CA.
    pub account: &'a str,
    /// Limits at the CA.
    pub limits: Limits,
    /// Name that the certificate is for.
    pub subject: &'a HostPattern,
    /// Kind of order.
    pub kind: OrderKind,
}

/// Kind of order, which determines how the CA counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// Counts as an order and as a new certificate of its domain.
    First,
    /// Counts only as an order, because the CA has signed for the same name before.
    Renewal,
    /// Does not count, because it names the certificate that it replaces (RFC 9773 section 5).
    Replacement,
}

/// Position of an order in its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// First order of an attempt, which also charges the certificate.
    First,
    /// Order for another challenge after a failure.
    Further,
    /// Repetition of an order that the CA has refused because of its predecessor.
    Again,
}

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
