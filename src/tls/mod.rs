//! TLS towards clients: server configurations, the certificate for a ClientHello, and handshakes that may wait for one.
//! Knows no HTTP.

mod acceptor;
mod client_auth;
mod distinguished_name;
mod error;
mod pieces;
mod quic_handshake;
mod quic_session;
mod refusal_log;
mod server_config;
mod sni_lookup;
mod stream;
mod stream_buffers;
mod version;

pub use acceptor::{Accepted, Acceptor, AcceptorParts, AcceptorRules, SiteRules};
pub use client_auth::{
    ClientAuth, ClientAuthError, ClientAuthMode, ClientAuthOptions, ClientFacts,
    VerifiedCertificate,
};
pub use error::Error;
pub use quic_handshake::{QuicAddresses, QuicFacts, QuicHandshake};
pub use stream::TlsStream;
pub use stream_buffers::StreamBuffers;
pub use version::TlsVersion;
