//! The question whether one certificate has signed another.
//!
//! The answer decides only which certificates are sent to clients. Never use it to decide whether a peer is believed.

use rustls::pki_types::CertificateDer;
use x509_parser::oid_registry::{
    OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512, OID_PKCS1_RSASSAPSS,
};
use x509_parser::prelude::{
    AlgorithmIdentifier, FromDer, ParsedExtension, X509Certificate, X509Error, X509Name,
};
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;

/// Sizes of RSA keys whose signatures the library can check, in bits.
const RSA_SIZES: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Parses a certificate; `None` if it is not valid X.509.
pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let parsed = X509Certificate::from_der(der).ok();
    parsed.and_then(|(rest, parsed)| rest.is_empty().then_some(parsed))
}

/// Whether `above` has signed `below`. A signature of an algorithm that the library cannot check is accepted if the names
/// and the key identifiers fit.
pub(super) fn is_linked(below: &X509Certificate<'_>, above: &X509Certificate<'_>) -> bool {
    if comparable(below.issuer()) != comparable(above.subject()) {
        return false;
    }
    match below.verify_signature(Some(above.public_key())) {
        Ok(()) => true,
        Err(X509Error::SignatureUnsupportedAlgorithm) => has_fitting_keys(below, above),
        Err(_) => !is_checkable(below, above) && has_fitting_keys(below, above),
    }
}

/// Whether the certificate is its own issuer, as roots are.
pub(super) fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    is_linked(certificate, certificate)
}

/// Returns a name in a form that is equal for equal names (RFC 5280 section 7.1): the type of a string and the case of its
/// letters do not matter.
pub(crate) fn comparable(name: &X509Name<'_>) -> Vec<u8> {
    match name.iter().next() {
        Some(_) => name.to_string().to_ascii_lowercase().into_bytes(),
        None => name.as_raw().to_vec(),
    }
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

/// Whether the library can check such a signature: it knows RSA keys of usual sizes, and with RSA-PSS only a salt that is
/// as long as the hash.
fn is_checkable(below: &X509Certificate<'_>, above: &X509Certificate<'_>) -> bool {
    let has_usual_size = match above.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => RSA_SIZES.contains(&key.key_size()),
        _ => true,
    };
    let algorithm = &below.signature_algorithm;
    let is_pss = algorithm.algorithm == OID_PKCS1_RSASSAPSS;
    has_usual_size && (!is_pss || has_usual_parameters(algorithm))
}

fn has_usual_parameters(pss: &AlgorithmIdentifier<'_>) -> bool {
    let parameters = pss.parameters().map(RsaSsaPssParams::try_from);
    let Some(Ok(parameters)) = parameters else {
        return false;
    };
    let hash = parameters.hash_algorithm_oid();
    let lengths = [
        (OID_NIST_HASH_SHA256, 32),
        (OID_NIST_HASH_SHA384, 48),
        (OID_NIST_HASH_SHA512, 64),
    ];
    let usual = lengths.into_iter().find(|(known, _)| known == hash);
    let mask = parameters.mask_gen_algorithm();
    usual.is_some_and(|(_, length)| length == parameters.salt_length())
        && mask.is_ok_and(|mask| mask.hash == *hash)
}
