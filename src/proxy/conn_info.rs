//! What the service is told of the connection that a request came on.

use std::net::SocketAddr;

use crate::name::HostName;

/// The facts of one client connection, the same for all its requests.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// The client's address.
    pub client: SocketAddr,
    /// The address that the client reached.
    pub local: SocketAddr,
    /// The name that the client asked for in its TLS handshake.
    pub sni: Option<HostName>,
}
