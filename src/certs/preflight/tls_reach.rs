//! Checks of port 443: whether this process answers there, and which certificate it presents.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::machine_addresses::MachineAddresses;
use super::options::PreflightOptions;
use super::preflight_verdict::Ownership;
use super::reachability::Reachability;
use super::reason::Record;
use super::tls_reason::TlsReason;
use crate::certs::challenge::TlsAlpn01Certificates;
use crate::name::HostName;

/// Time limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time limit for a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Protocol by which CAs ask for the challenge certificate (RFC 8737 section 3).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// Checks of port 443. Connects only to the given addresses.
#[derive(Debug)]
pub struct TlsReach {
    challenges: Arc<TlsAlpn01Certificates>,
    machine_addresses: MachineAddresses,
    port: u16,
    /// Clients with and without the protocol of the challenge.
    for_challenges: Option<Arc<ClientConfig>>,
    plain: Option<Arc<ClientConfig>>,
}

/// Answers at port 443 of the addresses of one name.
#[derive(Clone, Debug, Default)]
pub struct TlsExamination {
    /// Addresses at which this process answers.
    pub answered: Vec<IpAddr>,
    /// The most serious finding about the others.
    pub reason: Option<TlsReason>,
}

/// Answer at one address.
enum Answer {
    Ours,
    Other,
    Silent,
    Unreachable,
}

/// A failed connection.
enum Failed {
    /// There is no connection.
    Connect,
    /// There is one, but nothing that is TLS.
    NoTls,
    /// The peer has refused the handshake.
    Refused,
}

impl TlsReach {
    /// Creates a check that publishes its certificates in `challenges`.
    #[must_use]
    pub fn new(options: &PreflightOptions, challenges: Arc<TlsAlpn01Certificates>) -> Self {
        Self {
            challenges,
            machine_addresses: MachineAddresses::new(options.trial.clone()),
            port: options.tls_port,
            for_challenges: client_config(&[ACME_TLS]),
            plain: client_config(&[]),
        }
    }

    /// Connects to the addresses of a name as the CA does for tls-alpn-01, and looks whether this process presents its own
    /// certificate. Returns `None` for an IP address, for addresses that no client can reach, and while a challenge for the
    /// name is pending.
    pub async fn examine(
        &self,
        name: &HostName,
        addresses: &[(Record, IpAddr)],
    ) -> Option<TlsExamination> {
        if name.ip().is_some() {
            return None;
        }
        let is_real = |(_, address): &&(Record, IpAddr)| {
            let reach = self.machine_addresses.reach(*address);
            !matches!(reach, Reachability::Documentation | Reachability::Reserved)
        };
        let addresses: Vec<_> = addresses.iter().filter(is_real).copied().collect();
        if addresses.is_empty() {
            return None;
        }
        let probe = self.challenges.publish_probe(name)?;
        let leaf = probe.leaf();
        let answers = addresses.into_iter().map(|(record, address)| async move {
            (record, address, self.answer(name, address, leaf).await)
        });
        let mut found = TlsExamination::default();
        for (record, address, answer) in join_all(answers).await {
            match self.judge(record, address, &answer) {
                None => found.answered.push(address),
                Some(reason) => {
                    let is_worse = |known: &TlsReason| !known.is_certain() && reason.is_certain();
                    if found.reason.as_ref().is_none_or(is_worse) {
                        found.reason = Some(reason);
                    }
                }
            }
        }
        Some(found)
    }

    /// Returns the chain that is presented at `address` to a client that asks for `name`. `None` if there is no TLS.
    pub async fn chain(
        &self,
        name: &HostName,
        address: IpAddr,
    ) -> Option<Vec<CertificateDer<'static>>> {
        self.chain_at(name, SocketAddr::new(address, self.port))
            .await
    }

    /// Returns the port at which clients look for HTTPS: 443, but in tests.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Like [`Self::chain`], at another port.
    pub async fn chain_at(
        &self,
        name: &HostName,
        address: SocketAddr,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let plain = self.plain.as_ref()?;
        handshake(plain, name, address).await.ok()
    }

    async fn answer(
        &self,
        name: &HostName,
        address: IpAddr,
        expected: &CertificateDer<'_>,
    ) -> Answer {
        let Some(config) = &self.for_challenges else {
            return Answer::Unreachable;
        };
        let address = SocketAddr::new(address, self.port);
        match handshake(config, name, address).await {
            Ok(chain) if chain.first() == Some(expected) => Answer::Ours,
            Ok(_) | Err(Failed::Refused) => Answer::Other,
            Err(Failed::NoTls) => Answer::Silent,
            Err(Failed::Connect) => Answer::Unreachable,
        }
    }

    fn judge(&self, record: Record, address: IpAddr, answer: &Answer) -> Option<TlsReason> {
        let ownership = self.machine_addresses.ownership(address);
        Some(match (answer, ownership) {
            (Answer::Ours, _) => return None,
            (Answer::Other, Ownership::Own) => TlsReason::OtherProgram { address },
            (Answer::Other, Ownership::Foreign) => TlsReason::Elsewhere { record, address },
            (Answer::Other, Ownership::Unclear) => TlsReason::MaybeElsewhere { record, address },
            (Answer::Unreachable, Ownership::Own) => TlsReason::Closed { address },
            (Answer::Unreachable, _) => TlsReason::Unreachable { record, address },
            (Answer::Silent, _) => TlsReason::Silent { record, address },
        })
    }
}

/// Connects, and returns the chain that the peer presents.
async fn handshake(
    config: &Arc<ClientConfig>,
    name: &HostName,
    address: SocketAddr,
) -> Result<Vec<CertificateDer<'static>>, Failed> {
    let server = ServerName::try_from(name.as_str().to_owned()).map_err(|_| Failed::Connect)?;
    let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let stream = connecting.map_err(|_| Failed::Connect)?;
    let stream = stream.map_err(|_| Failed::Connect)?;
    let connector = TlsConnector::from(Arc::clone(config));
    let shaking = timeout(HANDSHAKE_TIMEOUT, connector.connect(server, stream)).await;
    let stream = shaking.map_err(|_| Failed::NoTls)?.map_err(|error| {
        let source = error.get_ref().and_then(|it| it.downcast_ref());
        match source {
            Some(rustls::Error::AlertReceived(_)) => Failed::Refused,
            Some(rustls::Error::NoApplicationProtocol) => Failed::Refused,
            _ => Failed::NoTls,
        }
    })?;
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    Ok(chain
        .iter()
        .cloned()
        .map(CertificateDer::into_owned)
        .collect())
}

/// Creates a client that accepts every certificate: what is presented is compared afterwards.
fn client_config(protocols: &[&[u8]]) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let mut config = config
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    Some(Arc::new(config))
}

/// Accepts every certificate of a peer that has its key.
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
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
