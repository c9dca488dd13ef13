//! Reasons why a chain and a key cannot be served.

use std::time::SystemTime;

use crate::name::HostPattern;
use crate::pem;

/// Reason why a chain and a key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The user of this process may not read it.
    #[error("the user of this process may not read it; give it to the owner of the data directory")]
    Forbidden,
    /// The text has no certificate or no key that can be read.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// A certificate is not valid X.509.
    #[error("a certificate in it is not valid X.509")]
    X509,
    /// The type of the key is not supported.
    #[error("its private key cannot be used: {0}")]
    Key(rustls::Error),
    /// The key does not match the leaf.
    #[error("its private key does not belong to its certificate")]
    KeyMismatch,
    /// The certificate is for other names.
    #[error("it is not for {wanted}{}", list(.names))]
    Names {
        /// Required name.
        wanted: HostPattern,
        /// Names in the certificate.
        names: Vec<HostPattern>,
    },
    /// The certificate has expired.
    #[error("it expired at {}", humantime::format_rfc3339_seconds(*.0))]
    Expired(SystemTime),
    /// The certificate is not valid yet.
    #[error("it is not valid before {}; check this machine's clock", humantime::format_rfc3339_seconds(*.0))]
    NotYetValid(SystemTime),
}

fn list(names: &[HostPattern]) -> String {
    let names: Vec<_> = names.iter().map(HostPattern::to_string).collect();
    if names.is_empty() {
        " or any other host; get one that has the name as subject alternative name".to_owned()
    } else {
        format!(" but for {}", names.join(", "))
    }
}
