//! Certificates that are older than X.509 version 3, which the TLS library does not read.

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

/// A certificate of X.509 version 1 or 2, as old devices and `openssl x509 -req` make them.
pub(super) struct OldCertificate<'a> {
    /// The version as people count it.
    pub(super) version: u32,
    /// The public key.
    pub(super) key: SubjectPublicKeyInfoDer<'a>,
}

impl<'a> OldCertificate<'a> {
    /// Reads a certificate. Returns `None` if the library can read it, or nobody can.
    pub(super) fn read(certificate: &'a CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let X509Version(version) = parsed.version();
        (parsed.version() != X509Version::V3).then(|| Self {
            version: version + 1,
            key: SubjectPublicKeyInfoDer::from(parsed.tbs_certificate.subject_pki.raw),
        })
    }
}

/// Signs a certificate of version 1 for `key`, with the names of its subject and its issuer, and its last second.
#[cfg(test)]
pub(super) fn version_1(
    [subject, issuer]: [&str; 2],
    key: &rcgen::KeyPair,
    signer: &rcgen::KeyPair,
    end: &str,
) -> CertificateDer<'static> {
    use rcgen::{PublicKeyData, SigningKey};

    fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        let length = match (high, low) {
            (0, 0..=0x7f) => vec![low],
            (0, _) => vec![0x81, low],
            _ => vec![0x82, high, low],
        };
        [&[tag][..], &length, &content].concat()
    }
    let sequence = |parts: &[&[u8]]| value(0x30, parts);
    let name = |text: &str| {
        let text = value(0x0c, &[text.as_bytes()]);
        let common_name = sequence(&[&[6, 3, 0x55, 4, 3], &text]);
        sequence(&[&value(0x31, &[&common_name])])
    };
    let ecdsa_with_sha256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let algorithm = [&[0x30, 10, 6, 8], &ecdsa_with_sha256[..]].concat();
    let time = |text: &str| [&[0x17, 13], text.as_bytes()].concat();
    let content = sequence(&[
        &[2, 1, 1],
        &algorithm,
        &name(issuer),
        &sequence(&[&time("200101000000Z"), &time(end)]),
        &name(subject),
        &key.subject_public_key_info(),
    ]);
    let signature = value(3, &[&[0], &signer.sign(&content).unwrap()]);
    sequence(&[&content, &algorithm, &signature]).into()
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;

    #[test]
    fn only_versions_before_3_are_old() {
        let key = KeyPair::generate().unwrap();
        let old = version_1(["nas", "nas"], &key, &key, "491231235959Z");
        assert_eq!(OldCertificate::read(&old).unwrap().version, 1);
        let params = rcgen::CertificateParams::default();
        let current = params.self_signed(&key).unwrap();
        assert!(OldCertificate::read(current.der()).is_none());
        assert!(OldCertificate::read(&CertificateDer::from(b"0".as_slice())).is_none());
    }
}
