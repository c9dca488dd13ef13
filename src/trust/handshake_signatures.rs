//! The proof that a TLS peer has the key of its certificate: its signature over the handshake.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use webpki::RawPublicKeyEntity;

use super::old_certificate::OldCertificate;

/// Verifies the signatures of handshakes. This says nothing of whether the certificate is believed.
///
/// The library does not read certificates that are older than version 3. It gets only the key of such a one, and verifies
/// the signature as it does for others.
#[derive(Clone, Copy, Debug)]
pub struct HandshakeSignatures(WebPkiSupportedAlgorithms);

impl HandshakeSignatures {
    /// Verifies with the algorithms of `provider`.
    #[must_use]
    pub fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }

    /// Returns the schemes with which peers may sign.
    #[must_use]
    pub fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }

    /// Verifies a signature of TLS 1.2.
    pub fn verify_tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match OldCertificate::read(certificate) {
            Some(old) => self.verify_tls12_by_key(message, &old.key, signed),
            None => verify_tls12_signature(message, certificate, signed, &self.0),
        }
    }

    /// Verifies a signature of TLS 1.3.
    pub fn verify_tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match OldCertificate::read(certificate) {
            Some(old) => verify_tls13_signature_with_raw_key(message, &old.key, signed, &self.0),
            None => verify_tls13_signature(message, certificate, signed, &self.0),
        }
    }

    /// Verifies a signature of TLS 1.2, whose scheme does not say the curve: the algorithm that fits the key is taken.
    fn verify_tls12_by_key(
        &self,
        message: &[u8],
        key: &SubjectPublicKeyInfoDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let mut schemes = self.0.mapping.iter();
        let (_, algorithms) = schemes
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let key = readable_key(key)?;
        for algorithm in *algorithms {
            match key.verify_signature(*algorithm, message, signed.signature()) {
                Ok(()) => return Ok(HandshakeSignatureValid::assertion()),
                Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
                Err(_) => break,
            }
        }
        Err(CertificateError::BadSignature.into())
    }
}

/// Reads a public key. Fails if the library cannot verify by it.
pub(super) fn readable_key<'a>(
    key: &'a SubjectPublicKeyInfoDer<'_>,
) -> Result<RawPublicKeyEntity<'a>, Error> {
    let read = RawPublicKeyEntity::try_from(key);
    read.map_err(|_| CertificateError::BadEncoding.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::sign::{CertifiedKey, SingleCertAndKey};
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
        SupportedProtocolVersion, version,
    };

    use super::super::client_verifier::ClientVerifier;
    use super::super::given_roots::GivenRoots;
    use super::super::old_certificate::version_1;
    use super::super::server_verifier::ServerVerifier;
    use super::*;

    const NAME: &str = "nas.example.org";

    /// A peer with a certificate of version 1 that another key has signed.
    fn old(key: &KeyPair) -> CertificateDer<'static> {
        let vendor = KeyPair::generate().unwrap();
        version_1([NAME, "vendor"], key, &vendor, "491231235959Z")
    }

    /// Lets a peer send this certificate and sign with this key.
    fn sending(certificate: &CertificateDer<'static>, key: &KeyPair) -> Arc<SingleCertAndKey> {
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = default_provider().key_provider.load_private_key(key);
        let certified = CertifiedKey::new(vec![certificate.clone()], key.unwrap());
        Arc::new(certified.into())
    }

    fn given(certificate: &CertificateDer<'static>) -> GivenRoots {
        GivenRoots::new(vec![certificate.clone()]).unwrap()
    }

    /// Lets both peers verify each other by the given certificates.
    fn handshake(
        [server_given, client_given]: [&CertificateDer<'static>; 2],
        server: Arc<SingleCertAndKey>,
        client: Arc<SingleCertAndKey>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<(), Error> {
        let verifier = ServerVerifier::new(RootCertStore::empty(), given(server_given)).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(client);
        let name = ServerName::try_from(NAME).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name)?;
        let verifier = ClientVerifier::new(given(client_given), true).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(server);
        let mut server = ServerConnection::new(Arc::new(config))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut sent).unwrap();
            }
            let mut sent = sent.as_slice();
            while !sent.is_empty() {
                server.read_tls(&mut sent).unwrap();
                server.process_new_packets()?;
            }
            let mut sent = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut sent).unwrap();
            }
            let mut sent = sent.as_slice();
            while !sent.is_empty() {
                client.read_tls(&mut sent).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(())
    }

    #[test]
    fn given_certificates_of_version_1_are_believed_in_both_directions_with_their_own_keys_only() {
        for version in [&version::TLS12, &version::TLS13] {
            for algorithm in [
                &rcgen::PKCS_ECDSA_P256_SHA256,
                &PKCS_ECDSA_P384_SHA384,
                &PKCS_RSA_SHA256,
            ] {
                let keys: [KeyPair; 3] =
                    std::array::from_fn(|_| KeyPair::generate_for(algorithm).unwrap());
                let [server_key, client_key, other] = &keys;
                let (server, client) = (old(server_key), old(client_key));
                let shake = |server_key: &KeyPair, client_key: &KeyPair| {
                    let (by_server, by_client) =
                        (sending(&server, server_key), sending(&client, client_key));
                    handshake([&server, &client], by_server, by_client, version)
                };
                assert_eq!(shake(server_key, client_key), Ok(()), "{algorithm:?}");
                let forged: Error = CertificateError::BadSignature.into();
                assert_eq!(shake(other, client_key), Err(forged.clone()));
                assert_eq!(shake(server_key, other), Err(forged));
            }
        }
    }

    #[test]
    fn a_signature_by_another_kind_of_key_is_refused() {
        let (key, rsa) = (
            KeyPair::generate().unwrap(),
            KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
        );
        let certificate = old(&key);
        let (client_key, version) = (KeyPair::generate().unwrap(), &version::TLS13);
        let client = old(&client_key);
        let by_client = || sending(&client, &client_key);
        for version in [&version::TLS12, version] {
            let forged = sending(&certificate, &rsa);
            let refused = handshake([&certificate, &client], forged, by_client(), version);
            assert!(
                matches!(refused, Err(Error::InvalidCertificate(_))),
                "{refused:?}"
            );
        }
    }
}
