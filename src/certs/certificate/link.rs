//! The question whether one certificate has signed another.
//!
//! The answer decides only which certificates are sent to clients. Never use it to decide whether a peer is believed.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate, X509Error, X509Name};
use x509_parser::public_key::PublicKey;

/// Sizes of RSA keys whose signatures the library can check, in bits.
const RSA_SIZES: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Parses a certificate; `None` if it is not valid X.509.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let parsed = X509Certificate::from_der(der).ok();
    parsed.and_then(|(rest, parsed)| rest.is_empty().then_some(parsed))
}

/// Whether `above` has signed `below`. A signature of an algorithm that the library cannot check is accepted if the names
/// and the key identifiers fit.
pub(super) fn is_linked(below: &X509Certificate<'_>, above: &X509Certificate<'_>) -> bool {
    if !is_same_name(below.issuer(), above.subject()) {
        return false;
    }
    match below.verify_signature(Some(above.public_key())) {
        Ok(()) => true,
        Err(X509Error::SignatureUnsupportedAlgorithm) => has_fitting_keys(below, above),
        Err(_) => !is_checkable(above) && has_fitting_keys(below, above),
    }
}

/// Whether the certificate is its own issuer, as roots are.
pub(super) fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    is_linked(certificate, certificate)
}

/// Compares names like RFC 5280 section 7.1: the type of a string and the case of its letters do not matter.
fn is_same_name(one: &X509Name<'_>, other: &X509Name<'_>) -> bool {
    one.as_raw() == other.as_raw()
        || (one.iter().next().is_some() && one.to_string().eq_ignore_ascii_case(&other.to_string()))
}

/// Compares the key identifiers. Certificates without one of them have nothing that speaks against the link.
fn has_fitting_keys(below: &X509Certificate<'_>, above: &X509Certificate<'_>) -> bool {
    let wanted = below
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref(),
            _ => None,
        });
    let own = above
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(key) => Some(key),
            _ => None,
        });
    wanted.zip(own).is_none_or(|(wanted, own)| wanted == own)
}

/// Whether the library can check signatures of this key's size.
fn is_checkable(signer: &X509Certificate<'_>) -> bool {
    match signer.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => RSA_SIZES.contains(&key.key_size()),
        _ => true,
    }
}
