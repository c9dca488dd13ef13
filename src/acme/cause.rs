//! What lies at the bottom of an error.

use std::io;

use rustls::CertificateError;

use super::error::Error;

/// The error at the bottom of the chain.
pub(super) fn root_cause(error: &Error) -> Option<&(dyn std::error::Error + 'static)> {
    let mut cause = std::error::Error::source(error)?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause)
}

/// Whether TLS failed because the CA's own certificate is signed by a root that this machine does not have.
pub(super) fn is_unknown_issuer(error: &Error) -> bool {
    let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if cause.downcast_ref() == Some(&unknown) {
            return true;
        }
        // An I/O error gives what it wraps by another door than the usual one.
        next = match cause.downcast_ref::<io::Error>().map(io::Error::get_ref) {
            Some(Some(wrapped)) => Some(wrapped),
            _ => cause.source(),
        };
    }
    false
}
