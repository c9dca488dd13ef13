//! Settings of the resolver.

use crate::dns_client::NameServer;

/// Settings of the resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// DNS servers to ask. With an empty list every look-up fails.
    pub servers: Vec<NameServer>,
    /// Port of the name servers of zones: 53, except in tests.
    pub authority_port: u16,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self {
            servers: vec![NameServer::System],
            authority_port: 53,
        }
    }
}
