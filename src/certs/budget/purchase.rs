//! An order that is about to be paid for.

use super::limits::Limits;
use crate::name::HostPattern;

/// An order: what it is for, and who pays at which CA.
#[derive(Clone, Copy, Debug)]
pub struct Purchase<'a> {
    /// The CA's id.
    pub issuer: &'a str,
    /// Which of the accounts at the CA pays.
    pub account: &'a str,
    /// Its budgets.
    pub limits: Limits,
    /// The name.
    pub subject: &'a HostPattern,
    /// How the CA counts it.
    pub kind: OrderKind,
}

/// How a CA counts an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// As an order and as a new certificate of its domain.
    First,
    /// As an order: the CA has signed for the same names before.
    Renewal,
    /// As neither: it tells the CA which certificate it replaces (RFC 9773 section 5).
    Replacement,
}

/// Which request for an order is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// The first of an attempt, and with it the certificate.
    First,
    /// One for another challenge after one that failed.
    Further,
    /// One in the place of one that was refused.
    Again,
}
