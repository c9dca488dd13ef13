//! A certificate that no known root has signed, with the fingerprint by which people recognize it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error, OtherError};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::old_certificate::OldCertificate;

/// The certificate of a peer that is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCertificate {
    fingerprint: String,
    /// Its version, if that is older than 3: no root can vouch for it then.
    old_version: Option<u32>,
}

impl UnknownCertificate {
    pub(super) fn new(certificate: &CertificateDer<'_>) -> Self {
        let hash = digest(&SHA256, certificate);
        let pairs = hash.as_ref().iter().map(|byte| format!("{byte:02X}"));
        Self {
            fingerprint: pairs.collect::<Vec<_>>().join(":"),
            old_version: OldCertificate::read(certificate).map(|old| old.version),
        }
    }

    /// Returns its SHA-256 in pairs of hexadecimal digits, as OpenSSL prints it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Returns its X.509 version if that is older than 3. Such a certificate is believed only if an operator has given it.
    #[must_use]
    pub fn old_version(&self) -> Option<u32> {
        self.old_version
    }

    /// Finds the certificate in an error of a handshake.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
            _ => None,
        }
    }

    /// Adds the fingerprint to an error if it says that the certificate has no known root.
    pub(super) fn describe(error: Error, certificate: &CertificateDer<'_>) -> Error {
        let is_unknown = match &error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
            // Some self-signed certificates fail because they say that they are a CA's, and others because they are too old.
            Error::InvalidCertificate(CertificateError::Other(_)) => {
                says_ca(certificate) || OldCertificate::read(certificate).is_some()
            }
            _ => false,
        };
        if is_unknown {
            let unknown = OtherError(Arc::new(Self::new(certificate)));
            CertificateError::Other(unknown).into()
        } else {
            error
        }
    }
}

/// Whether a certificate says that it is a CA's. The library then refuses it before it looks for its issuer.
fn says_ca(certificate: &CertificateDer<'_>) -> bool {
    let parsed = X509Certificate::from_der(certificate);
    parsed.is_ok_and(|(_, it)| matches!(it.basic_constraints(), Ok(Some(it)) if it.value.ca))
}

impl fmt::Display for UnknownCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.old_version {
            Some(version) => write!(
                f,
                "the certificate has X.509 version {version}, for which no root can vouch"
            )?,
            None => f.write_str("the certificate is not signed by a known root")?,
        }
        write!(f, "; its SHA-256 is {}", self.fingerprint)
    }
}

impl std::error::Error for UnknownCertificate {}
