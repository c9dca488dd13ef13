//! Roots, intermediates and server certificates made for one test.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A CA that lives as long as the test.
pub(crate) struct TestCa(CertifiedIssuer<'static, KeyPair>);

impl TestCa {
    /// A root.
    pub(crate) fn root(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(ca_params(name), key).unwrap())
    }

    /// A CA below this one.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(ca_params(name), key, &self.0).unwrap())
    }

    /// The CA's certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Key and name that sign.
    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.0
    }

    /// A certificate for `localhost`, `app.services.test` and the loopback addresses, and its key.
    pub(crate) fn loopback(&self) -> (rcgen::Certificate, KeyPair) {
        self.changed_loopback(|_| ())
    }

    /// The same after a change.
    pub(crate) fn changed_loopback(
        &self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (rcgen::Certificate, KeyPair) {
        let names = ["localhost", "app.services.test", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        valid_for(&mut params, Duration::from_secs(24 * 3600));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, self.issuer()).unwrap();
        (certificate, key)
    }

    /// A certificate for a client of this name, and its key.
    pub(crate) fn client(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        valid_for(&mut params, Duration::from_secs(24 * 3600));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, self.issuer()).unwrap();
        (certificate, key)
    }

    /// A server on loopback that speaks HTTP/1.1.
    pub(crate) fn loopback_server(&self) -> LoopbackServer {
        self.changed_loopback_server(|_| ())
    }

    /// The same with a change of its certificate.
    pub(crate) fn changed_loopback_server(
        &self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> LoopbackServer {
        let (certificate, key) = self.changed_loopback(change);
        let pem = certificate.pem();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        LoopbackServer {
            root: self.pem(),
            certificate: pem,
            tls: Arc::new(config),
        }
    }
}

/// TLS of a server, with the certificates that clients may trust in PEM.
pub(crate) struct LoopbackServer {
    pub(crate) root: String,
    pub(crate) certificate: String,
    pub(crate) tls: Arc<ServerConfig>,
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

/// Makes a certificate valid from now on.
pub(crate) fn valid_for(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    params.not_before = now.into();
    params.not_after = (now + lifetime).into();
}

/// Verifies a PEM chain for a name as a browser with this root alone would, and returns the leaf.
pub(crate) fn verify_chain(
    chain_pem: &[u8],
    root_pem: &str,
    name: &str,
) -> Result<CertificateDer<'static>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let mut chain = CertificateDer::pem_slice_iter(chain_pem).map(Result::unwrap);
    let leaf = chain.next().unwrap();
    let intermediates: Vec<_> = chain.collect();
    let name = ServerName::try_from(name).unwrap();
    verifier.verify_server_cert(&leaf, &intermediates, &name, &[], UnixTime::now())?;
    Ok(leaf)
}

/// A certificate request for a new key.
pub(crate) fn csr(names: &[&str]) -> (Vec<u8>, KeyPair) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().unwrap();
    let csr = params.serialize_request(&key).unwrap();
    (csr.der().to_vec(), key)
}

/// Returns `true` if the certificate is for the key.
pub(crate) fn is_for_key(leaf: &CertificateDer<'_>, key: &KeyPair) -> bool {
    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    leaf.public_key().subject_public_key.data == key.public_key_raw()
}
