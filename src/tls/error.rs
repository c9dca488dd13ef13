//! Errors of TLS handshakes.

use std::io;

use crate::certs::CertificateRefusal;
use crate::name::HostName;
use crate::trust::UnknownCertificate;

/// A failed handshake.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client did not finish the handshake in time.
    #[error("the client did not finish its TLS handshake in time")]
    TimedOut,
    /// The client sent no ClientHello, or broke the handshake off.
    #[error("the TLS handshake failed: {}", cause(.0))]
    Handshake(io::Error),
    /// The client sent no SNI, and there is no default site.
    #[error("the client named no host; mark one site with `default = true` to serve such clients")]
    NoName,
    /// There is no certificate for the name.
    #[error("there is no certificate for {name}: {refusal}")]
    Refused {
        /// The name in the client's SNI.
        name: HostName,
        /// The reason.
        refusal: CertificateRefusal,
    },
    /// The client came over QUIC, and the certificate of the name is not in memory.
    #[error(
        "the certificate of {name} is not in memory, and QUIC cannot wait for it; the client has to connect over TCP first"
    )]
    NotInMemory {
        /// The name in the client's SNI.
        name: HostName,
    },
    /// The site of the name is served on other listeners only.
    #[error("{name} is not served on this listener; its site names others in `listen`")]
    OtherListener {
        /// The name in the client's SNI.
        name: HostName,
    },
    /// The client asked for a challenge that is not pending.
    #[error("the client looked for a tls-alpn-01 challenge, and none is under way for that name")]
    NoChallenge,
    /// The configuration for a challenge could not be built.
    #[error("the tls-alpn-01 challenge could not be shown: {0}")]
    Challenge(rustls::Error),
    /// The client's SNI is not a valid name.
    #[error("the client sent an SNI that is not a host name")]
    BadName,
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Self::Handshake(io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Returns why a handshake failed, and how to let an unknown client in.
fn cause(error: &io::Error) -> String {
    let source = error.get_ref().and_then(|source| source.downcast_ref());
    match source.and_then(UnknownCertificate::of) {
        Some(unknown) => {
            let cause = match unknown.old_version() {
                Some(version) => format!(
                    "the client's certificate has X.509 version {version}, for which no CA in the file of `client-auth` can vouch"
                ),
                None => "no CA in the file of `client-auth` has signed the client's certificate"
                    .to_owned(),
            };
            let fingerprint = unknown.fingerprint();
            format!("{cause}; add it to that file to let it in, if its SHA-256 is {fingerprint}")
        }
        None => error.to_string(),
    }
}
