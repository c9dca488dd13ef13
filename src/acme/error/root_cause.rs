//! The root causes of errors.

use std::error::Error;
use std::io;

use crate::printable::printable;
use crate::trust::UnknownCertificate;

/// Most characters of a cause that are shown. It may quote what the CA sent.
const SHOWN: usize = 500;

/// Returns the text of the root cause, if an operator can use it.
pub(in crate::acme) fn root_cause_text(error: &dyn Error) -> Option<String> {
    let root = root_cause(error)?;
    // The library's text for a connection without a TLS goodbye does not help an operator.
    Some(
        match root.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::UnexpectedEof) => "it was closed before the answer came".to_owned(),
            _ => printable(&root.to_string(), SHOWN),
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
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(unknown) = cause.downcast_ref().and_then(UnknownCertificate::of) {
            return Some(unknown);
        }
        // An I/O error returns its inner error from `get_ref`, not from `source`.
        next = match cause.downcast_ref::<io::Error>().map(io::Error::get_ref) {
            Some(Some(wrapped)) => Some(wrapped),
            _ => cause.source(),
        };
    }
    None
}
