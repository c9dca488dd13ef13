//! Which DNS servers are asked.

use std::net::SocketAddr;

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameServer {
    /// Those that the system is set up with.
    System,
    /// A server that resolves any name.
    At(SocketAddr),
}

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
