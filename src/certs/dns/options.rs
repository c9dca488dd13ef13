//! Which DNS servers are asked.

use crate::dns::NameServer;

/// What the resolver is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// Whom to ask; an empty list asks nobody, and every look-up fails.
    pub servers: Vec<NameServer>,
    /// Where the name servers of zones answer, which is 53 on the Internet.
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
