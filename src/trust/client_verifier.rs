//! The verification of a client's certificate.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::pinned::{Pinned, check_time};
use super::unknown_certificate::UnknownCertificate;

/// Believes a client whose certificate one of the given roots has signed, or is one of them itself.
#[derive(Debug)]
pub struct ClientVerifier {
    by_roots: Arc<dyn ClientCertVerifier>,
    pinned: Pinned,
    /// Names by which clients choose their certificate.
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    /// Creates a verifier with `given` roots, which are also in `roots`. Without a certificate, clients are refused if
    /// `is_required` is set.
    pub fn new(
        roots: RootCertStore,
        given: &[CertificateDer<'static>],
        is_required: bool,
    ) -> Result<Self, VerifierBuilderError> {
        let provider = Arc::new(default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if is_required {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        let by_roots = builder.build()?;
        let pinned = Pinned::new(given);
        // A client offers a certificate whose issuer is among the hints.
        let others = pinned.other_issuers().into_iter();
        let others = others.map(DistinguishedName::from);
        let hints = by_roots.root_hint_subjects().iter().cloned();
        Ok(Self {
            hints: hints.chain(others).collect(),
            by_roots,
            pinned,
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.by_roots.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.by_roots.client_auth_mandatory()
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
        if self.pinned.holds(end_entity) {
            check_time(end_entity, now)?;
            return Ok(ClientCertVerified::assertion());
        }
        let verified = self
            .by_roots
            .verify_client_cert(end_entity, intermediates, now);
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
