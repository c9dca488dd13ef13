//! What the configuration says of the look before an order.

use std::net::IpAddr;

/// How a name is looked at before the CA is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightOptions {
    /// Whether it is looked at.
    pub is_on: bool,
    /// Where CAs fetch http-01 challenges, which is 80 on the Internet.
    pub port: u16,
    /// Set where all peers run on this machine.
    pub trial: Option<Trial>,
}

impl Default for PreflightOptions {
    fn default() -> Self {
        Self {
            is_on: true,
            port: 80,
            trial: None,
        }
    }
}

/// A world on one machine: its loopback addresses stand for public ones, and every CA for a public one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The addresses that stand for this machine's own; all others are other machines'.
    pub own: Vec<IpAddr>,
}
