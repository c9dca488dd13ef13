//! Settings of the preflight check.

use std::net::IpAddr;

/// Settings of the preflight check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightOptions {
    /// Whether names are checked before an order.
    pub is_on: bool,
    /// Port from which CAs fetch http-01 challenges: 80, except in tests.
    pub port: u16,
    /// Port from which CAs fetch tls-alpn-01 challenges: 443, except in tests.
    pub tls_port: u16,
    /// Simulated network, if all peers run on this machine.
    pub trial: Option<Trial>,
}

impl Default for PreflightOptions {
    fn default() -> Self {
        Self {
            is_on: true,
            port: 80,
            tls_port: 443,
            trial: None,
        }
    }
}

/// Simulated network on one machine: loopback addresses count as public, and every CA counts as a public CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Addresses that count as those of this machine. All others count as those of other machines.
    pub own: Vec<IpAddr>,
}
