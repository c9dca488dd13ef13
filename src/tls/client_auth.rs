//! Client certificates: whether a site requires one, which CAs it trusts, and the facts in a certificate.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::server::VerifierBuilderError;
use rustls::server::danger::ClientCertVerifier;

use super::distinguished_name;
use crate::pem;
use crate::trust::{ClientVerifier, GivenRoots};

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuthMode {
    /// Clients without a certificate are refused.
    Required,
    /// Clients without a certificate are served, and the backend is told. Clients with a certificate that cannot be verified
    /// are refused.
    Optional,
}

/// The client certificates that a site accepts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientAuthOptions {
    /// PEM file with CAs and certificates of single clients.
    pub ca: PathBuf,
    /// Whether clients need a certificate.
    pub mode: ClientAuthMode,
}

/// Reasons why client certificates cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthError {
    /// The file is missing, not readable, or contains no certificate.
    #[error("{} is not a readable PEM file with CA certificates: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        source: pem::Error,
    },
    /// One of its certificates is neither a CA's nor a client's.
    #[error("{} has a certificate that is neither a CA's nor a client's: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The error.
        source: rustls::Error,
    },
    /// The verifier cannot be built from them.
    #[error("the CAs in {} cannot verify clients: {source}", path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// The error.
        source: VerifierBuilderError,
    },
}

/// The verification of client certificates by one file in one mode.
#[derive(Clone)]
pub struct ClientAuth {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    policy: [u8; 32],
}

impl ClientAuth {
    /// Reads the file with the CAs. Blocks.
    pub fn load(options: &ClientAuthOptions) -> Result<Self, ClientAuthError> {
        let path = &options.ca;
        let unreadable = |source| ClientAuthError::Pem {
            path: path.clone(),
            source,
        };
        let given = pem::read_certificates(path).map_err(unreadable)?;
        let mut policy = digest::Context::new(&SHA256);
        policy.update(&[u8::from(options.mode == ClientAuthMode::Required)]);
        for certificate in &given {
            policy.update(digest::digest(&SHA256, certificate).as_ref());
        }
        let given = GivenRoots::new(given);
        let given = given.map_err(|source| ClientAuthError::Certificate {
            path: path.clone(),
            source,
        })?;
        let is_required = options.mode == ClientAuthMode::Required;
        let verifier = ClientVerifier::new(given, is_required);
        let verifier = verifier.map_err(|source| ClientAuthError::Verifier {
            path: path.clone(),
            source,
        })?;
        let verifier: Arc<dyn ClientCertVerifier> = Arc::new(verifier);
        Ok(Self {
            verifier,
            policy: copied(policy.finish()),
        })
    }

    /// Returns a value that is equal for the same certificates in the same mode.
    #[must_use]
    pub fn policy(&self) -> [u8; 32] {
        self.policy
    }

    /// Returns the facts about a client after its handshake.
    pub(super) fn facts(&self, chain: Option<&[CertificateDer<'_>]>) -> ClientFacts {
        let leaf = chain.and_then(<[_]>::first);
        ClientFacts {
            policy: self.policy,
            certificate: leaf.map(VerifiedCertificate::of),
        }
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth").finish_non_exhaustive()
    }
}

fn copied(digest: digest::Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// A client that was asked for a certificate.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// The policy under which it was asked.
    pub policy: [u8; 32],
    /// Its certificate, whose key it has proved to hold.
    pub certificate: Option<VerifiedCertificate>,
}

/// A verified client certificate.
#[derive(Clone, Debug)]
pub struct VerifiedCertificate {
    /// Its subject in the form of RFC 4514, in visible ASCII.
    pub subject: String,
    /// Its SHA-256 fingerprint in hexadecimal.
    pub fingerprint: String,
    /// The certificate in base64.
    pub base64: String,
}

impl VerifiedCertificate {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        let subject = x509_parser::parse_x509_certificate(certificate)
            .map(|(_, parsed)| distinguished_name::write(parsed.subject()))
            .unwrap_or_default();
        let digest = digest::digest(&SHA256, certificate);
        Self {
            subject,
            fingerprint: distinguished_name::hexadecimal(digest.as_ref()),
            base64: STANDARD.encode(certificate),
        }
    }
}
