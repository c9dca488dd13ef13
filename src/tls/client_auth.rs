//! Certificates of clients: whom a site asks for one, which are believed, and what they say.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};

use super::distinguished_name;

/// What becomes of clients without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuthMode {
    /// They are refused.
    Required,
    /// They are served, and the backend is told. A certificate that cannot be verified is refused all the same.
    Optional,
}

impl fmt::Display for ClientAuthMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::Optional => "optional",
        })
    }
}

/// Whose certificates a site believes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientAuthOptions {
    /// The CAs, in PEM.
    pub ca: PathBuf,
    /// Whether a certificate is needed.
    pub mode: ClientAuthMode,
}

/// Why clients cannot be asked for certificates.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthError {
    /// The file is not there, not readable, or has no certificate.
    #[error("{} is no readable PEM file of CA certificates: {}", path.display(), reason(source))]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// One of its certificates cannot be a CA's.
    #[error("{} has a certificate that cannot be a CA's: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The verifier cannot be made of them.
    #[error("the CAs in {} cannot verify clients: {source}", path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: VerifierBuilderError,
    },
}

/// The library's own words quote the file, which may be a key by mistake; these do not.
fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it holds no certificate".to_owned(),
        _ => "its PEM sections are damaged".to_owned(),
    }
}

/// One way to ask clients for certificates.
#[derive(Clone)]
pub struct ClientAuth {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    policy: [u8; 32],
}

impl ClientAuth {
    /// Reads the CAs. Blocks.
    pub fn load(options: &ClientAuthOptions) -> Result<Self, ClientAuthError> {
        let path = &options.ca;
        let pem = |source| ClientAuthError::Pem {
            path: path.clone(),
            source,
        };
        let mut roots = RootCertStore::empty();
        let mut policy = digest::Context::new(&SHA256);
        policy.update(&[u8::from(options.mode == ClientAuthMode::Required)]);
        for certificate in CertificateDer::pem_file_iter(path).map_err(pem)? {
            let certificate = certificate.map_err(pem)?;
            policy.update(digest::digest(&SHA256, &certificate).as_ref());
            let added = roots.add(certificate);
            added.map_err(|source| ClientAuthError::Certificate {
                path: path.clone(),
                source,
            })?;
        }
        if roots.is_empty() {
            return Err(pem(pem::Error::NoItemsFound));
        }
        let provider = Arc::new(default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match options.mode {
            ClientAuthMode::Required => builder,
            ClientAuthMode::Optional => builder.allow_unauthenticated(),
        };
        let verifier = builder
            .build()
            .map_err(|source| ClientAuthError::Verifier {
                path: path.clone(),
                source,
            })?;
        Ok(Self {
            verifier,
            policy: copied(policy.finish()),
        })
    }

    /// What is the same for two that ask alike: the same CAs in the same mode.
    #[must_use]
    pub fn policy(&self) -> [u8; 32] {
        self.policy
    }

    /// What has become known of a client in its handshake.
    pub(super) fn asked(&self, chain: Option<&[CertificateDer<'_>]>) -> AskedClient {
        let leaf = chain.and_then(<[_]>::first);
        AskedClient {
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
pub struct AskedClient {
    /// How it was asked.
    pub policy: [u8; 32],
    /// What it has shown and proved to hold.
    pub certificate: Option<VerifiedCertificate>,
}

/// A client's certificate, verified.
#[derive(Clone, Debug)]
pub struct VerifiedCertificate {
    /// Its subject as RFC 4514 writes it, in visible ASCII.
    pub subject: String,
    /// Its SHA-256 in hexadecimal.
    pub fingerprint: String,
    /// All of it in base64.
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
