//! An order as the budgets see it.

use super::limits::Limits;
use crate::name::HostPattern;

/// Order to be charged.
#[derive(Clone, Copy, Debug)]
pub struct Purchase<'a> {
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
