//! TLS to backends: verification of their certificates, and the certificate of the proxy itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::system_roots::SystemRoots;
use crate::name::HostName;

/// Settings for the verification of backends behind `https://`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// PEM file with roots, instead of the system roots.
    pub root: Option<PathBuf>,
    /// Name for SNI and for the certificate, instead of the host in the address.
    pub sni: Option<HostName>,
    /// Client certificate of the proxy, for backends that ask for one.
    pub identity: Option<IdentityFiles>,
    /// `true` if any certificate is accepted.
    pub is_insecure: bool,
}

/// A certificate and its key as PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The leaf's key.
    pub key: PathBuf,
}

/// Reasons why TLS to backends cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable, or not PEM.
    #[error("{} cannot be read as PEM; name a file that can in `upstream-options.tls`", .path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file without a certificate.
    #[error("{} holds no certificate; name a PEM file that has one", .0.display())]
    NoCertificate(PathBuf),
    /// A root that is not a usable CA certificate.
    #[error("{} holds no usable root; name the certificate of the CA that signed the backend's", .path.display())]
    Root {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
    /// The client certificate and its key do not belong together, or are of an unsupported kind.
    #[error("the client certificate {} cannot be used with the key {}; name a pair that belongs together", .files.cert.display(), .files.key.display())]
    Identity {
        /// The pair.
        files: IdentityFiles,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
    /// The system has no roots.
    #[error("the system's roots cannot be read; name one in `upstream-options.tls.root`")]
    SystemRoots(#[source] Option<Arc<rustls_native_certs::Error>>),
    /// The roots make no verifier.
    #[error("the roots for backends cannot be used; name others in `upstream-options.tls.root`")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    /// The cryptography lacks what TLS needs.
    #[error("TLS towards backends cannot be set up")]
    Setup(#[source] rustls::Error),
}

impl TlsError {
    /// The cause, to be appended to the message.
    #[must_use]
    pub fn reason(&self) -> String {
        let source = std::error::Error::source(self);
        source.map_or_else(String::new, |source| format!(": {source}"))
    }
}

impl TlsOptions {
    /// Checks that the files, or else the system roots, can be used. Blocks.
    pub fn check(&self, system: &SystemRoots) -> Result<(), TlsError> {
        TlsClient::load(self, system).map(|_| ())
    }
}

/// Makes TLS connections to the backends of one upstream, which resume the sessions of each other.
#[derive(Clone)]
pub(in crate::upstream) struct TlsClient {
    any: TlsConnector,
    http1: TlsConnector,
    sni: Option<ServerName<'static>>,
    is_insecure: bool,
    roots: Option<Vec<CertificateDer<'static>>>,
    /// Digest of the system roots, if these are trusted.
    system: Option<[u8; 32]>,
    chain: Vec<CertificateDer<'static>>,
}

/// Compares what is trusted and which certificate is shown, not the names of the files.
impl PartialEq for TlsClient {
    fn eq(&self, other: &Self) -> bool {
        let facts = |client: &Self| (client.sni.clone(), client.is_insecure, client.system);
        facts(self) == facts(other) && self.roots == other.roots && self.chain == other.chain
    }
}

impl TlsClient {
    /// Reads all files that the options name.
    pub(in crate::upstream) fn load(
        options: &TlsOptions,
        system: &SystemRoots,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = options.root.as_deref().map(read_chain).transpose()?;
        let trusts_system = roots.is_none() && !options.is_insecure;
        let system = trusts_system.then(|| system.get()).transpose();
        let system = system.map_err(TlsError::SystemRoots)?;
        let verifier = match system {
            Some(system) => Arc::clone(&system.verifier) as Arc<dyn ServerCertVerifier>,
            None => verifier(options, roots.as_deref(), Arc::clone(&provider))?,
        };
        let chain = match &options.identity {
            None => Vec::new(),
            Some(files) => read_chain(&files.cert)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut http1 = match &options.identity {
            None => config.with_no_client_auth(),
            Some(files) => config
                .with_client_auth_cert(chain.clone(), read_key(&files.key)?)
                .map_err(|source| TlsError::Identity {
                    files: files.clone(),
                    source,
                })?,
        };
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut any = http1.clone();
        any.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(Self {
            any: TlsConnector::from(Arc::new(any)),
            http1: TlsConnector::from(Arc::new(http1)),
            sni: options.sni.as_ref().map(server_name),
            is_insecure: options.is_insecure,
            system: system.map(|system| system.digest),
            roots,
            chain,
        })
    }

    /// Performs the handshake with `host` on `stream`. Offers HTTP/2 unless `is_http1` is set.
    pub(in crate::upstream) async fn connect(
        &self,
        stream: TcpStream,
        host: &HostName,
        is_http1: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let connector = if is_http1 { &self.http1 } else { &self.any };
        let name = self.sni.clone().unwrap_or_else(|| server_name(host));
        connector.connect(name, stream).await
    }
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient")
            .field("sni", &self.sni)
            .finish_non_exhaustive()
    }
}

fn server_name(host: &HostName) -> ServerName<'static> {
    match host.ip() {
        Some(ip) => ServerName::IpAddress(ip.into()),
        None => ServerName::try_from(host.as_str().to_owned())
            .expect("a host name is a name that a certificate can have"),
    }
}

/// Builds a verifier that accepts any certificate, or those of the roots that the options name.
fn verifier(
    options: &TlsOptions,
    given: Option<&[CertificateDer<'static>]>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if options.is_insecure {
        return Ok(Arc::new(AnyCertificate(provider)));
    }
    let mut roots = RootCertStore::empty();
    for root in given.unwrap_or_default() {
        roots.add(root.clone()).map_err(|source| TlsError::Root {
            path: options.root.clone().unwrap_or_default(),
            source,
        })?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(verifier.build().map_err(TlsError::Verifier)?)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error| unreadable(path, error);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect();
    match chain.map_err(unreadable)? {
        chain if chain.is_empty() => Err(TlsError::NoCertificate(path.to_owned())),
        chain => Ok(chain),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(path, error))
}

/// Converts an error. Leaves out the library's own words, which quote the file, and the file may be a key.
fn unreadable(path: &Path, error: pem::Error) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        source: match error {
            pem::Error::Io(error) => error,
            pem::Error::NoItemsFound => io::Error::other("it holds no section of the wanted kind"),
            _ => io::Error::other("its PEM sections are damaged"),
        },
    }
}

/// Takes any certificate, as long as its owner has the key to it.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_host_is_one_that_a_certificate_can_have(text in "([a-f0-9]{1,3}[.])?(0[xX][0-9a-f]{0,4}|[0-9a-z_-]{1,4})") {
            if let Ok(host) = HostName::parse(&text) {
                server_name(&host);
            }
        }
    }
}
