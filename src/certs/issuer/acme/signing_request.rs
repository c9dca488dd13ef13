//! The certificate signing request (CSR) of an order.

use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::super::Error;
use crate::name::HostPattern;

/// Creates a CSR for `subject` only, with an empty subject name (RFC 8555 section 7.4).
pub(super) fn signing_request(subject: &HostPattern, key: &KeyPair) -> Result<Vec<u8>, Error> {
    let mut params = CertificateParams::new(vec![subject.to_string()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}
