//! TLS to backends: verification of their certificates, and the client certificate of the proxy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::system_roots::SystemRoots;
use crate::name::HostName;
use crate::pem;
use crate::trust::{GivenRoots, HandshakeSignatures, NoRoots, ServerVerifier};
use crate::uninterrupted::Uninterrupted;

/// TLS settings for `https://` backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// PEM file with trusted roots, instead of the system roots.
    pub root: Option<PathBuf>,
    /// Name for SNI and for the verification of the certificate, instead of the host in the address.
    pub sni: Option<ServerNameSource>,
    /// Client certificate of the proxy, for backends that ask for one.
    pub identity: Option<IdentityFiles>,
    /// `true` if any certificate is accepted, without verification.
    pub is_insecure: bool,
}

/// Source of the name for SNI and for the verification of a backend's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerNameSource {
    /// This name.
    Name(HostName),
    /// Host of the client's request. Requests for different hosts then share no connection.
    ClientHost,
}

impl fmt::Display for ServerNameSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.as_str()),
            Self::ClientHost => f.write_str("{host}"),
        }
    }
}

/// PEM files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityFiles {
    /// Certificate chain, leaf first.
    pub cert: PathBuf,
    /// Private key of the leaf.
    pub key: PathBuf,
}

/// Reasons why TLS to backends cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or not PEM.
    #[error("{} cannot be read as PEM; set a readable PEM file in `upstream-options.tls`", .path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: pem::Error,
    },
    /// A file contains no certificate.
    #[error("{} holds no certificate; use a PEM file with one", .0.display())]
    NoCertificate(PathBuf),
    /// A root is not a valid CA certificate.
    #[error("{} holds no valid root; use the certificate of the CA that signed the backend's certificate", .path.display())]
    Root {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
    /// The client certificate and its key do not match, or are of an unsupported kind.
    #[error("the client certificate {} cannot be used with the key {}; use a certificate and its own key", .files.cert.display(), .files.key.display())]
    Identity {
        /// Certificate and key.
        files: IdentityFiles,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
    /// The system has no roots.
    #[error("{0}, or set a PEM file with roots in `upstream-options.tls.root`")]
    SystemRoots(NoRoots),
    /// The verifier cannot be built from the roots.
    #[error("the roots for backends cannot be used; set others in `upstream-options.tls.root`")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    /// The cryptography provider does not support the protocol versions.
    #[error("TLS to backends cannot be set up")]
    Setup(#[source] rustls::Error),
}

impl TlsError {
    /// Returns the file that cannot be used, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } | Self::NoCertificate(path) | Self::Root { path, .. } => {
                Some(path)
            }
            Self::Identity { files, .. } => Some(&files.cert),
            Self::SystemRoots(_) | Self::Verifier(_) | Self::Setup(_) => None,
        }
    }

    /// Returns the cause in a form to append to the message; empty if there is none.
    #[must_use]
    pub fn reason(&self) -> String {
        let source = std::error::Error::source(self);
        source.map_or_else(String::new, |source| format!(": {source}"))
    }
}

impl TlsOptions {
    /// Checks that the files can be used, and the system roots if there are no other roots. Blocks while it reads them.
    pub fn check(&self, system: &SystemRoots) -> Result<(), TlsError> {
        TlsClient::load(self, system).map(|_| ())
    }
}

/// TLS client for the backends of one upstream. Its connections share a cache of sessions to resume.
#[derive(Clone)]
pub(in crate::upstream) struct TlsClient {
    /// Offers HTTP/2 and HTTP/1.1.
    any: TlsConnector,
    /// Offers only HTTP/1.1.
    http1: TlsConnector,
    sni: Option<ServerNameSource>,
    is_insecure: bool,
    roots: Option<Vec<CertificateDer<'static>>>,
    /// Digest of the system roots, if they are trusted.
    system: Option<[u8; 32]>,
    chain: Vec<CertificateDer<'static>>,
}

/// Compares the trusted roots and the client certificate by content, not by file name.
impl PartialEq for TlsClient {
    fn eq(&self, other: &Self) -> bool {
        let facts = |client: &Self| (client.sni.clone(), client.is_insecure, client.system);
        facts(self) == facts(other) && self.roots == other.roots && self.chain == other.chain
    }
}

impl TlsClient {
    /// A client with these options. Blocks while it reads the files.
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
            sni: options.sni.clone(),
            is_insecure: options.is_insecure,
            system: system.map(|system| system.digest),
            roots,
            chain,
        })
    }

    /// `true` if the expected name is the host of the client's request.
    pub(in crate::upstream) fn uses_client_host(&self) -> bool {
        self.sni == Some(ServerNameSource::ClientHost)
    }

    /// Performs the handshake on `stream`, with `host` as the expected name unless the options set another. Offers only
    /// HTTP/1.1 if `is_http1` is set.
    pub(in crate::upstream) async fn connect(
        &self,
        stream: Uninterrupted<TcpStream>,
        host: &HostName,
        is_http1: bool,
    ) -> io::Result<TlsStream<Uninterrupted<TcpStream>>> {
        let connector = if is_http1 { &self.http1 } else { &self.any };
        let host = match &self.sni {
            Some(ServerNameSource::Name(name)) => name,
            Some(ServerNameSource::ClientHost) | None => host,
        };
        connector.connect(server_name(host), stream).await
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("sni", &self.sni)
            .finish_non_exhaustive()
    }
}

fn server_name(host: &HostName) -> ServerName<'static> {
    match host.ip() {
        Some(ip) => ServerName::IpAddress(ip.into()),
        None => ServerName::try_from(host.as_str().to_owned())
            .expect("every host name is a valid server name"),
    }
}

/// Builds a verifier for the `given` roots, or one that accepts any certificate if the options say so.
fn verifier(
    options: &TlsOptions,
    given: Option<&[CertificateDer<'static>]>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if options.is_insecure {
        let signatures = HandshakeSignatures::new(&provider);
        return Ok(Arc::new(AnyCertificate(signatures)));
    }
    let given = GivenRoots::new(given.unwrap_or_default().to_vec());
    let given = given.map_err(|source| TlsError::Root {
        path: options.root.clone().unwrap_or_default(),
        source,
    })?;
    let verifier = ServerVerifier::new(RootCertStore::empty(), given);
    Ok(Arc::new(verifier.map_err(TlsError::Verifier)?))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    pem::read_certificates(path).map_err(|error| unreadable(path, error))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    pem::read_private_key(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: pem::Error) -> TlsError {
    match error {
        pem::Error::NoCertificate => TlsError::NoCertificate(path.to_owned()),
        source => TlsError::File {
            path: path.to_owned(),
            source,
        },
    }
}

/// Accepts any certificate, as long as the peer has its private key.
#[derive(Debug)]
struct AnyCertificate(HandshakeSignatures);

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
        self.0.verify_tls12(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.schemes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_host_name_is_a_valid_server_name(text in "([a-f0-9]{1,3}[.])?(0[xX][0-9a-f]{0,4}|[0-9a-z_-]{1,4})") {
            if let Ok(host) = HostName::parse(&text) {
                server_name(&host);
            }
        }
    }
}
