//! The verification of a server's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_native_certs::load_native_certs;

use super::given_roots::{GivenRoots, check_name, check_time};
use super::handshake_signatures::HandshakeSignatures;
use super::no_roots::NoRoots;
use super::unknown_certificate::UnknownCertificate;

/// Believes a server whose certificate a root has signed, or is one of the given ones itself.
#[derive(Debug)]
pub struct ServerVerifier {
    /// `None` if the given certificates are of no CA, and there are no other roots.
    by_roots: Option<Arc<WebPkiServerVerifier>>,
    given: GivenRoots,
    signatures: HandshakeSignatures,
}

impl ServerVerifier {
    /// Creates a verifier with the roots of this machine and those that an operator has `given`. Blocks while it reads the
    /// former.
    pub fn with_system_roots(given: GivenRoots) -> Result<Self, NoRoots> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(load_native_certs().certs);
        // This only fails if there are none at all.
        Self::new(roots, given).map_err(|_| NoRoots::found())
    }

    /// Creates a verifier that believes no server.
    #[must_use]
    pub fn believing_nobody() -> Self {
        Self {
            by_roots: None,
            given: GivenRoots::default(),
            signatures: HandshakeSignatures::new(&default_provider()),
        }
    }

    /// Returns the TLS settings of a client for HTTP/1.1 and HTTP/2 that presents no certificate of its own.
    pub fn into_client_config(self) -> Result<ClientConfig, Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let mut config = config
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Creates a verifier with the roots of the `system` and those that an operator has `given`. Fails if there are none.
    pub fn new(system: RootCertStore, given: GivenRoots) -> Result<Self, VerifierBuilderError> {
        let provider = Arc::new(default_provider());
        let signatures = HandshakeSignatures::new(&provider);
        let mut roots = system;
        roots.extend(given.authorities().roots.iter().cloned());
        let by_roots = if roots.is_empty() && !given.is_empty() {
            None
        } else {
            let roots = Arc::new(roots);
            Some(WebPkiServerVerifier::builder_with_provider(roots, provider).build()?)
        };
        Ok(Self {
            by_roots,
            given,
            signatures,
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
        if self.given.holds(end_entity) {
            check_name(end_entity, server_name)?;
            check_time(end_entity, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        let verified = match &self.by_roots {
            Some(roots) => {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
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
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
    use rustls::pki_types::pem::PemObject;

    use super::super::old_certificate::version_1;
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
        let given = GivenRoots::new(vec![given.clone()]).unwrap();
        let verifier = ServerVerifier::new(RootCertStore::empty(), given).unwrap();
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
    fn a_certificate_of_version_1_is_believed_only_if_it_is_given_and_no_root_vouches_for_it() {
        let (vendor, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let old = |names, signer| version_1(names, &key, signer, "491231235959Z");
        let (name, other) = ("nas.example.org", "other.example.org");
        let (by_vendor, by_itself) = (old([name, "vendor"], &vendor), old([name, name], &key));
        // Given the certificate itself, it is believed for its name and its time.
        for given in [&by_vendor, &by_itself] {
            assert_eq!(verify(given, given, name), Ok(()));
            let refused = verify(given, given, other).unwrap_err().to_string();
            assert!(refused.contains("not valid for name"), "{refused}");
        }
        let past = version_1([name, "vendor"], &key, &vendor, "200102000000Z");
        let refused = verify(&past, &past, name).unwrap_err();
        assert!(refused.to_string().contains("Expired"), "{refused}");
        // Given the root that has signed it, or another certificate.
        let mut root = params(&[]);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name = rcgen::DistinguishedName::new();
        root.distinguished_name.push(DnType::CommonName, "vendor");
        let root = CertificateDer::from(root.self_signed(&vendor).unwrap());
        let nas = certificate(&params(&[name]));
        for given in [&root, &nas] {
            let refused = verify(given, &by_vendor, name).unwrap_err();
            let unknown = UnknownCertificate::of(&refused).unwrap();
            assert_eq!(unknown.old_version(), Some(1));
            assert!(unknown.to_string().contains("X.509 version 1"), "{unknown}");
        }
        // Its key vouches for nobody.
        let own = params(&[name]);
        let issuer = rcgen::Issuer::from_params(&own, &key);
        let signed = params(&["bank.example.org"]);
        let signed = signed.signed_by(&KeyPair::generate().unwrap(), &issuer);
        let refused = verify(&by_vendor, &signed.unwrap().into(), "bank.example.org");
        assert!(UnknownCertificate::of(&refused.unwrap_err()).is_some());
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

    #[test]
    fn the_key_of_a_given_server_signs_for_nobody_else() {
        let other_key = KeyPair::generate().unwrap();
        let mut other = params(&[]);
        other.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let other = rcgen::Issuer::from_params(&other, &other_key);
        for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
            let (mut nas, key) = (params(&["nas.example.org"]), KeyPair::generate().unwrap());
            nas.is_ca = is_ca;
            let (by_itself, by_other) = (nas.self_signed(&key), nas.signed_by(&key, &other));
            let signer = rcgen::Issuer::from_params(&nas, &key);
            let bank = params(&["bank.example.org"]);
            let bank = bank
                .signed_by(&KeyPair::generate().unwrap(), &signer)
                .unwrap();
            let bank = CertificateDer::from(bank);
            for given in [by_itself, by_other] {
                let given = CertificateDer::from(given.unwrap());
                let refused = verify(&given, &bank, "bank.example.org").unwrap_err();
                assert!(UnknownCertificate::of(&refused).is_some(), "{refused}");
            }
        }
    }

    #[test]
    fn what_a_given_ca_has_signed_is_believed() {
        let (mut ca, key) = (params(&[]), KeyPair::generate().unwrap());
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let given = CertificateDer::from(ca.self_signed(&key).unwrap());
        let issuer = rcgen::Issuer::from_params(&ca, &key);
        let nas = params(&["nas.example.org"]);
        let nas = nas
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        assert_eq!(verify(&given, &nas.into(), "nas.example.org"), Ok(()));
    }

    /// Lets OpenSSL sign a certificate for `nas.example.org` by a root with a key on this curve. Returns the root and the
    /// certificate.
    fn signed_on(curve: &str) -> [CertificateDer<'static>; 2] {
        let dir = tempfile::tempdir().unwrap();
        let root = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -subj /CN=ca -sha512 -days 30 -keyout ca.key -out ca.pem"
        );
        let nas = "req -x509 -CA ca.pem -CAkey ca.key -newkey rsa:2048 -nodes -subj /CN=nas -sha512 -days 30 \
            -addext subjectAltName=DNS:nas.example.org -addext basicConstraints=critical,CA:FALSE \
            -keyout nas.key -out nas.pem";
        for args in [&root, nas] {
            let mut openssl = std::process::Command::new("openssl");
            let output = openssl.args(args.split_whitespace()).current_dir(&dir);
            let output = output.output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{told}");
        }
        ["ca.pem", "nas.pem"]
            .map(|file| CertificateDer::from_pem_file(dir.path().join(file)).unwrap())
    }

    #[test]
    fn no_signature_is_believed_by_the_name_of_its_algorithm() {
        for curve in ["P-521", "P-256"] {
            let [root, genuine] = signed_on(curve);
            let [_, forged] = signed_on(curve);
            assert_eq!(verify(&root, &genuine, "nas.example.org"), Ok(()));
            // Given a signature of a namesake of the root, and one with a byte changed.
            let mut damaged = genuine.to_vec();
            *damaged.last_mut().unwrap() ^= 1;
            for sent in [forged, damaged.into()] {
                let refused = verify(&root, &sent, "nas.example.org").unwrap_err();
                assert!(
                    matches!(refused, Error::InvalidCertificate(_)),
                    "{curve}: {refused}"
                );
            }
        }
    }

    #[test]
    fn without_any_root_there_is_no_verifier() {
        let verifier = ServerVerifier::new(RootCertStore::empty(), GivenRoots::default());
        assert!(verifier.is_err());
    }
}
