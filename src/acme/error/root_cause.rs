//! What lies at the bottom of an error.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// The cause of all others, in words for people.
pub(in crate::acme) fn words_of_root(error: &dyn Error) -> Option<String> {
    let root = root_cause(error)?;
    // What TLS says of a connection that was cut is not for them.
    Some(
        match root.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::UnexpectedEof) => "it was closed before the answer came".to_owned(),
            _ => root.to_string(),
        },
    )
}

fn root_cause(error: &dyn Error) -> Option<&(dyn Error + 'static)> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause)
}

/// Whether TLS failed because the CA's own certificate is signed by a root that this machine does not have.
pub(in crate::acme) fn is_unknown_issuer(error: &dyn Error) -> bool {
    let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    let mut next = error.source();
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
