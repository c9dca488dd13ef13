//! Errors of binding a listener.

use std::io;
use std::net::SocketAddr;

/// A failed bind, with the fix.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is below 1024 and the process may not bind it.
    #[error(
        "listening on {address} is not permitted; run as root, allow the binary to bind it with `setcap cap_net_bind_service=+ep`, or choose a port above 1023"
    )]
    NotPermitted {
        /// The address.
        address: SocketAddr,
    },
    /// Another program listens on the address.
    #[error(
        "{address} is in use by another program; stop it, or choose another address with --listen-http or --listen-https"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// A socket that another process has passed to this one cannot be used.
    #[error(
        "a socket that was passed to the proxy cannot be used: {0}; see LISTEN_FDS in the environment"
    )]
    Passed(io::Error),
    /// Any other error.
    #[error(
        "cannot listen on {address}: {source}; choose another address with --listen-http or --listen-https"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
}

impl BindError {
    pub(super) fn bind(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            io::ErrorKind::AddrInUse => Self::InUse { address },
            _ => Self::Bind { address, source },
        }
    }
}
