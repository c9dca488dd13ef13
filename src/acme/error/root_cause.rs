//! The root causes of errors.

use std::error::Error;
use std::io;

use crate::printable::{printable, quoted};
use crate::trust::UnknownCertificate;

/// Most characters of a cause that is no text of a peer.
const OWN: usize = 500;

/// Returns the text of the root cause, if an operator can use it. A text of the program's own, such as that of a solver, can end
/// with its fix; a foreign one is quoted.
pub(in crate::acme) fn root_cause_text(error: &dyn Error, is_foreign: bool) -> Option<String> {
    let root = root_cause(error)?;
    if !is_foreign {
        return Some(printable(&root.to_string(), OWN));
    }
    // The library's text for a connection without a TLS goodbye does not help an operator.
    Some(
        match root.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::UnexpectedEof) => "it was closed before the answer came".to_owned(),
            _ => quoted(&root.to_string()),
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

/// Returns the CA's own HTTPS certificate, if this machine does not trust its root.
pub(in crate::acme) fn unknown_certificate(error: &dyn Error) -> Option<&UnknownCertificate> {
    UnknownCertificate::of(tls_error(error)?)
}

/// Returns what is wrong with the validity of the CA's own HTTPS certificate.
pub(in crate::acme) fn invalid_time(error: &dyn Error) -> Option<&'static str> {
    use rustls::CertificateError as Bad;
    let rustls::Error::InvalidCertificate(error) = tls_error(error)? else {
        return None;
    };
    match error {
        Bad::Expired | Bad::ExpiredContext { .. } => Some("has expired"),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => Some("is not valid yet"),
        _ => None,
    }
}

/// Finds the error of the TLS library among the causes.
fn tls_error(error: &dyn Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        // An I/O error returns its inner error from `get_ref`, not from `source`.
        next = match cause.downcast_ref::<io::Error>().map(io::Error::get_ref) {
            Some(Some(wrapped)) => Some(wrapped),
            _ => cause.source(),
        };
    }
    None
}
