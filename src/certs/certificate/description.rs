//! Description of a certificate for people: signer, key type, chain and fingerprint.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::certificate::Certificate;
use super::flaw::shown;

/// Fields of a certificate for display. They are parsed on each call, so that served certificates need no memory for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Issuer of the leaf.
    pub signed_by: String,
    /// Key type of the leaf, such as `ECDSA P-256`.
    pub key_type: String,
    /// Subjects of the chain, leaf first.
    pub chain: Vec<String>,
    /// SHA-256 fingerprint of the leaf, in pairs of hexadecimal digits.
    pub fingerprint: String,
}

impl Description {
    /// Describes a certificate.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let chain = &certificate.certified_key().cert;
        let mut description = Self {
            chain: chain.iter().map(subject).collect(),
            ..Self::default()
        };
        if let Some(leaf) = chain.first() {
            description.fingerprint = fingerprint(leaf);
            if let Ok((_, leaf)) = X509Certificate::from_der(leaf) {
                description.signed_by = shown(leaf.issuer());
                description.key_type = key_type(leaf.public_key());
            }
        }
        description
    }
}

fn subject(der: &CertificateDer<'_>) -> String {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| shown(certificate.subject()))
        .unwrap_or_default()
}

fn key_type(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        // `key_size` is that of an uncompressed point: one byte and two coordinates.
        Ok(PublicKey::EC(point)) => match point.key_size() {
            528 => "ECDSA P-521".to_owned(),
            size => format!("ECDSA P-{size}"),
        },
        _ => key.algorithm.algorithm.to_id_string(),
    }
}

fn fingerprint(der: &CertificateDer<'_>) -> String {
    let hash = digest(&SHA256, der);
    let pairs = hash.as_ref().iter().map(|byte| format!("{byte:02X}"));
    pairs.collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::TestCa;
    use super::*;

    #[test]
    fn the_description_is_read_from_the_chain() {
        let pem = TestCa::new().sign(&["www.example.org"], -60..3600);
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();

        let description = Description::of(&certificate);

        assert_eq!(description.signed_by, "CN=test root");
        assert_eq!(description.key_type, "ECDSA P-256");
        assert_eq!(description.chain, ["CN=rcgen self signed cert"]);
        assert_eq!(description.fingerprint.len(), 32 * 3 - 1);
        assert_eq!(
            description.fingerprint.to_uppercase(),
            description.fingerprint
        );
    }
}
