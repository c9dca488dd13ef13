//! The verification of a server's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::pinned::{Pinned, check_name, check_time};
use super::unknown_certificate::UnknownCertificate;

/// Believes a server whose certificate a root has signed, or is one of the given roots itself.
#[derive(Debug)]
pub struct ServerVerifier {
    by_roots: Arc<WebPkiServerVerifier>,
    pinned: Pinned,
}

impl ServerVerifier {
    /// Creates a verifier with all `roots`, of which an operator has given some.
    pub fn new(
        roots: RootCertStore,
        given: &[CertificateDer<'static>],
    ) -> Result<Self, VerifierBuilderError> {
        let provider = Arc::new(default_provider());
        let by_roots = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self {
            by_roots: by_roots.build()?,
            pinned: Pinned::new(given),
        })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.holds(end_entity) {
            check_name(end_entity, server_name)?;
            check_time(end_entity, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        let verified = self.by_roots.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        verified.map_err(|error| UnknownCertificate::describe(error, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_roots.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_roots.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_roots.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

    use super::*;

    fn params(names: &[&str]) -> CertificateParams {
        let names = names.iter().map(|name| (*name).to_owned());
        CertificateParams::new(names.collect::<Vec<_>>()).unwrap()
    }

    fn certificate(params: &CertificateParams) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().into()
    }

    fn verify(
        given: &CertificateDer<'static>,
        sent: &CertificateDer<'_>,
        name: &str,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(given.clone()).unwrap();
        let verifier = ServerVerifier::new(roots, std::slice::from_ref(given)).unwrap();
        let name = ServerName::try_from(name).unwrap();
        let verified = verifier.verify_server_cert(sent, &[], &name, &[], UnixTime::now());
        verified.map(drop)
    }

    #[test]
    fn a_given_certificate_is_believed_whatever_it_says_of_itself() {
        let mut as_ca = params(&["nas.example.org", "10.0.0.5"]);
        as_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut common_name = params(&[]);
        common_name
            .distinguished_name
            .push(DnType::CommonName, "nas.example.org");
        let issuer_key = KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::from_params(&as_ca, &issuer_key);
        let key = KeyPair::generate().unwrap();
        let by_other = params(&["nas.example.org"])
            .signed_by(&key, &issuer)
            .unwrap();
        for given in [
            certificate(&as_ca),
            certificate(&params(&["nas.example.org"])),
            certificate(&common_name),
            by_other.into(),
        ] {
            assert_eq!(verify(&given, &given, "nas.example.org"), Ok(()));
            let other = verify(&given, &given, "other.example.org").unwrap_err();
            assert!(other.to_string().contains("not valid for name"), "{other}");
        }
        let given = certificate(&as_ca);
        assert_eq!(verify(&given, &given, "10.0.0.5"), Ok(()));
    }

    #[test]
    fn a_given_certificate_is_believed_only_while_it_is_valid() {
        let now = std::time::SystemTime::now();
        let mut past = params(&["nas.example.org"]);
        past.not_before = (now - Duration::from_secs(20)).into();
        past.not_after = (now - Duration::from_secs(10)).into();
        let mut early = params(&["nas.example.org"]);
        early.not_before = (now + Duration::from_secs(600)).into();
        for (params, part) in [(past, "Expired"), (early, "NotValidYet")] {
            let given = certificate(&params);
            let refused = verify(&given, &given, "nas.example.org").unwrap_err();
            assert!(refused.to_string().contains(part), "{refused}");
        }
    }

    #[test]
    fn another_certificate_of_the_same_name_is_unknown_and_shown_by_its_fingerprint() {
        let mut as_ca = params(&["nas.example.org"]);
        as_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let (given, other) = (certificate(&as_ca), certificate(&as_ca));
        let refused = verify(&given, &other, "nas.example.org").unwrap_err();
        let known = UnknownCertificate::of(&refused).unwrap_or_else(|| panic!("{refused:?}"));
        assert_eq!(*known, UnknownCertificate::new(&other));
        assert_eq!(known.fingerprint().len(), 32 * 3 - 1);
    }
}
