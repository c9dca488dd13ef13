//! The question whether a TLS peer is believed: by roots, or by its very certificate.

mod client_verifier;
mod given_roots;
mod handshake_signatures;
mod no_roots;
mod old_certificate;
mod server_verifier;
mod unknown_certificate;

pub use client_verifier::ClientVerifier;
pub use given_roots::GivenRoots;
pub use handshake_signatures::HandshakeSignatures;
pub use no_roots::NoRoots;
pub use server_verifier::ServerVerifier;
pub use unknown_certificate::UnknownCertificate;
