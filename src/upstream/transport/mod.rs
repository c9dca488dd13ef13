//! Byte streams to backends: TCP, unix sockets, TLS and the PROXY header.

mod own_addresses;
mod send_proxy;
mod stream;
mod system_roots;
mod tls;

pub use own_addresses::{OwnAddresses, is_listener};
pub use send_proxy::{ClientAddresses, SendProxy};
pub use system_roots::SystemRoots;
pub use tls::{IdentityFiles, TlsError, TlsOptions};

pub(super) use stream::{BackendStream, Transport};
pub(super) use tls::TlsClient;
