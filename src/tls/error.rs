//! Why a connection did not become a TLS connection.

use std::io;

use crate::certs::Refusal;
use crate::name::HostName;

/// A failed handshake.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client did not finish in time.
    #[error("the client did not finish its TLS handshake in time")]
    TimedOut,
    /// The client sent no ClientHello, or broke off.
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
    /// The client named no host and no site is the default.
    #[error("the client named no host; mark one site with `default = true` to serve such clients")]
    NoName,
    /// There is no certificate for the name.
    #[error("there is no certificate for {name}: {refusal}")]
    Refused {
        /// The name that the client asked for.
        name: HostName,
        /// Why.
        refusal: Refusal,
    },
    /// The client looked for a challenge that is not under way.
    #[error("the client looked for a tls-alpn-01 challenge, and none is under way for that name")]
    NoChallenge,
    /// The configuration for a CA's look could not be made.
    #[error("the tls-alpn-01 challenge could not be shown: {0}")]
    Challenge(rustls::Error),
    /// The text that the client sent as a name is none.
    #[error("the client asked for a name that is no host name")]
    BadName,
}
