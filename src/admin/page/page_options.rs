//! Options of the status page.

use std::net::SocketAddr;

use crate::certs::Secret;

/// Options of the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOptions {
    /// Address to listen on.
    pub address: SocketAddr,
    /// Token that opens the page. Without one, everyone who can connect sees it, and nobody can renew.
    pub token: Option<Secret>,
}
