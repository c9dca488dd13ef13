//! Byte streams to backends: TCP, unix sockets, TLS and the PROXY header.

mod listen_addresses;
mod send_proxy;
mod stream;
mod system_roots;
mod tls;

pub use listen_addresses::{ListenAddresses, is_listener};
pub use send_proxy::{ClientAddresses, SendProxy};
pub use system_roots::SystemRoots;
pub use tls::{IdentityFiles, ServerNameSource, TlsError, TlsOptions};

pub(super) use stream::{BackendStream, Transport};
pub(super) use tls::TlsClient;
