//! The verification of a client's certificate.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::given_roots::{GivenRoots, check_time};
use super::handshake_signatures::HandshakeSignatures;
use super::unknown_certificate::UnknownCertificate;

/// Believes a client whose certificate one of the given CAs has signed, or is one of the given ones itself.
#[derive(Debug)]
pub struct ClientVerifier {
    /// `None` if no CA is given.
    by_roots: Option<Arc<dyn ClientCertVerifier>>,
    given: GivenRoots,
    signatures: HandshakeSignatures,
    is_required: bool,
    /// Issuers by which clients choose their certificate.
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    /// Creates a verifier. Without a certificate, clients are refused if `is_required` is set.
    pub fn new(given: GivenRoots, is_required: bool) -> Result<Self, VerifierBuilderError> {
        let provider = Arc::new(default_provider());
        let signatures = HandshakeSignatures::new(&provider);
        let roots = given.authorities().clone();
        let by_roots = if roots.is_empty() && !given.is_empty() {
            None
        } else {
            let roots = Arc::new(roots);
            Some(WebPkiClientVerifier::builder_with_provider(roots, provider).build()?)
        };
        let hints = given.issuers().into_iter().map(DistinguishedName::from);
        Ok(Self {
            by_roots,
            hints: hints.collect(),
            given,
            signatures,
            is_required,
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.given.holds(end_entity) {
            check_time(end_entity, now)?;
            return Ok(ClientCertVerified::assertion());
        }
        let verified = match &self.by_roots {
            Some(roots) => roots.verify_client_cert(end_entity, intermediates, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        verified.map_err(|error| UnknownCertificate::describe(error, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls12(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls13(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    use super::*;

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params
    }

    #[test]
    fn a_given_client_is_believed_and_what_its_key_has_signed_is_not() {
        let vendor_key = KeyPair::generate().unwrap();
        let mut vendor = params("vendor");
        vendor.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let vendor = Issuer::from_params(&vendor, &vendor_key);
        for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
            let (mut alice, key) = (params("alice"), KeyPair::generate().unwrap());
            alice.is_ca = is_ca;
            let by_vendor = alice.signed_by(&key, &vendor).unwrap();
            let by_itself = alice.self_signed(&key).unwrap();
            let signer = Issuer::from_params(&alice, &key);
            let admin = params("admin").signed_by(&KeyPair::generate().unwrap(), &signer);
            let admin = CertificateDer::from(admin.unwrap());
            for given in [by_vendor, by_itself] {
                let given = CertificateDer::from(given);
                let roots = GivenRoots::new(vec![given.clone()]).unwrap();
                let verifier = ClientVerifier::new(roots, true).unwrap();
                let now = UnixTime::now();
                verifier.verify_client_cert(&given, &[], now).unwrap();
                let refused = verifier
                    .verify_client_cert(&admin, &[given], now)
                    .unwrap_err();
                assert!(UnknownCertificate::of(&refused).is_some(), "{refused}");
                assert!(verifier.client_auth_mandatory() && !verifier.hints.is_empty());
            }
        }
    }
}
