//! TLS handshakes: reads the ClientHello, waits for the certificate of its name, and continues.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server};

use super::Error;
use super::client_auth::{ClientAuth, ClientFacts};
use super::refusal_log::RefusalLog;
use super::server_config::{
    ACME_TLS, Transport, challenge_config, client_auth_config, early_data_config, server_config,
    with_certificate,
};
use super::sni_lookup::BySni;
use super::stream::TlsStream;
use super::stream_buffers::StreamBuffers;
use super::version::TlsVersion;
use crate::certs::challenge::TlsAlpn01Certificates;
use crate::certs::{CertCache, CertManager, Certificate, CertificateRefusal};
use crate::listener_names::{ListenerId, ListenerSet};
use crate::name::{HostName, NameMap};

/// Time that a handshake waits for a certificate that is being obtained.
const ISSUANCE_TIMEOUT: Duration = Duration::from_secs(60);

/// The fatal alert `unrecognized_name` (RFC 6066 section 3) as a plaintext TLS record: there are no keys yet when it is
/// sent.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The parts of an [`Acceptor`].
#[derive(Debug)]
pub struct AcceptorParts {
    /// The certificates in memory.
    pub cache: Arc<CertCache>,
    /// The manager, which loads or obtains the others.
    pub manager: CertManager,
    /// The certificates for tls-alpn-01 challenges.
    pub challenges: Arc<TlsAlpn01Certificates>,
    /// The configured rules.
    pub rules: AcceptorRules,
}

/// The configured rules for handshakes.
#[derive(Debug)]
pub struct AcceptorRules {
    /// The names whose certificates clients without SNI get, by listener.
    pub default_names: Vec<(ListenerId, HostName)>,
    /// Time-out of a handshake, not counting the wait for a certificate.
    pub handshake_timeout: Duration,
    /// The rules of each site. Empty if all sites have the default rules, and are served on all listeners.
    pub sites: NameMap<SiteRules>,
}

/// The rules of one site for its clients.
#[derive(Clone, Debug, Default)]
pub struct SiteRules {
    /// The oldest version of TLS.
    pub min_version: TlsVersion,
    /// How client certificates are verified, if clients are asked for them.
    pub client_auth: Option<Arc<ClientAuth>>,
    /// The listeners on which the site is served.
    pub listeners: ListenerSet,
    /// Whether clients may send safe requests within the handshake, over QUIC. Never for clients with certificates.
    pub early_data: bool,
}

/// The TLS settings of one site.
#[derive(Debug)]
pub(super) struct SiteTls {
    config: Arc<ServerConfig>,
    pub(super) quic: Arc<ServerConfig>,
    pub(super) auth: Option<Arc<ClientAuth>>,
    pub(super) listeners: ListenerSet,
}

/// Accepts TLS connections.
#[derive(Debug)]
pub struct Acceptor {
    pub(super) shared: Arc<Shared>,
    default_names: Vec<(ListenerId, HostName)>,
    handshake_timeout: Duration,
    /// Empty if all sites have the default rules, and are served on all listeners.
    sites: NameMap<SiteTls>,
}

/// State that survives a reload, such as the keys of session tickets.
#[derive(Debug)]
pub(super) struct Shared {
    config: Arc<ServerConfig>,
    /// For sites that require the newest version.
    newest: Arc<ServerConfig>,
    /// For connections over QUIC, which always have the newest version.
    pub(super) quic: Arc<ServerConfig>,
    /// For connections over QUIC to sites with early data. Empty until there is one.
    pub(super) early_quic: OnceLock<Arc<ServerConfig>>,
    resolver: Arc<BySni>,
    pub(super) cache: Arc<CertCache>,
    manager: CertManager,
    challenges: Arc<TlsAlpn01Certificates>,
    refusals: RefusalLog,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub stream: TlsStream<S>,
    /// The name in the client's SNI.
    pub sni: Option<HostName>,
    /// `true` if HTTP/2 was agreed on.
    pub is_h2: bool,
    /// `true` if TLS 1.3 was agreed on.
    pub is_tls13: bool,
    /// `true` if an earlier session was resumed.
    pub is_resumed: bool,
    /// The client's certificate, if it was asked for one.
    pub client: Option<Box<ClientFacts>>,
}

impl Acceptor {
    /// Puts the parts together.
    pub fn new(parts: AcceptorParts) -> Result<Self, rustls::Error> {
        let AcceptorParts {
            cache,
            manager,
            challenges,
            rules,
        } = parts;
        let resolver = Arc::new(BySni {
            cache: Arc::clone(&cache),
        });
        let config = |transport| {
            let resolver = Arc::<BySni>::clone(&resolver);
            server_config(resolver, transport).map(Arc::new)
        };
        let shared = Shared {
            config: config(Transport::Tcp(TlsVersion::Tls12))?,
            newest: config(Transport::Tcp(TlsVersion::Tls13))?,
            quic: config(Transport::Quic)?,
            early_quic: OnceLock::new(),
            resolver,
            cache,
            manager,
            challenges,
            refusals: RefusalLog::default(),
        };
        Self::with_rules(Arc::new(shared), rules)
    }

    /// Builds the acceptor that replaces this one after a reload. Sessions can be resumed at either of them.
    pub fn changed(&self, rules: AcceptorRules) -> Result<Self, rustls::Error> {
        Self::with_rules(Arc::clone(&self.shared), rules)
    }

    fn with_rules(shared: Arc<Shared>, rules: AcceptorRules) -> Result<Self, rustls::Error> {
        let AcceptorRules {
            default_names,
            handshake_timeout,
            sites,
        } = rules;
        let mut tls = NameMap::new();
        for (pattern, rules) in sites.iter() {
            tls.insert(pattern, shared.site_tls(rules)?);
        }
        Ok(Self {
            shared,
            default_names,
            handshake_timeout,
            sites: tls,
        })
    }

    /// Does the handshake on `io`, or tells the client why not and closes it. Returns `None` if the client was a CA that
    /// validated a challenge, which it may do on any listener: its connection ends with the handshake. The accepted stream uses
    /// the `buffers` of its worker.
    pub async fn accept<S>(
        &self,
        io: S,
        client: SocketAddr,
        local: SocketAddr,
        listener: ListenerId,
        buffers: &Arc<StreamBuffers>,
    ) -> Result<Option<Accepted<S>>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = self.read_client_hello(io).await?;
        if is_acme_validation(&start.client_hello()) {
            return self.present_challenge(start).await.map(|()| None);
        }
        let sni = match start.client_hello().server_name().map(HostName::parse) {
            Some(Ok(name)) => Some(name),
            Some(Err(_)) => return self.refuse(start, Error::BadName).await,
            None => None,
        };
        let Some(name) = sni
            .clone()
            .or_else(|| self.name_without_sni(local, listener))
        else {
            return self.refuse(start, Error::NoName).await;
        };
        let site_tls = self.site_tls(&name);
        if site_tls.is_some_and(|site_tls| !site_tls.listeners.contains(listener)) {
            let error = Error::OtherListener { name: name.clone() };
            self.shared.refusals.log(client, &name, &error);
            return self.refuse(start, error).await;
        }
        let certificate = match self.certificate(&name, client.ip()).await {
            Ok(certificate) => certificate,
            Err(refusal) => {
                self.shared.refusals.log(client, &name, &refusal);
                return self.refuse(start, Error::Refused { name, refusal }).await;
            }
        };
        let config = site_tls.map_or(&self.shared.config, |site_tls| &site_tls.config);
        let config = match sni {
            Some(_) => Arc::clone(config),
            None => with_certificate(config, &certificate),
        };
        let (io, connection) = self.finish(start, config).await?.into_inner();
        let is_h2 = connection.alpn_protocol() == Some(b"h2");
        let is_tls13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let chain = connection.peer_certificates();
        let auth = site_tls.and_then(|site_tls| site_tls.auth.as_ref());
        let client = auth.map(|auth| Box::new(auth.facts(chain)));
        Ok(Some(Accepted {
            stream: TlsStream::new(io, connection, Arc::clone(buffers)),
            sni,
            is_h2,
            is_tls13,
            is_resumed,
            client,
        }))
    }

    /// Presents a challenge to a CA (RFC 8737 section 3), and nothing else.
    async fn present_challenge<S>(&self, start: StartHandshake<S>) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let sni = start.client_hello().server_name().map(str::to_owned);
        let Some(certified) = self.challenge_of(sni.as_deref()).await else {
            return self.refuse(start, Error::NoChallenge).await;
        };
        let config = challenge_config(certified).map_err(Error::Challenge)?;
        let mut stream = self.finish(start, Arc::new(config)).await?;
        // The CA has seen the certificate. An error in closing the connection does not matter.
        let _ = timeout(self.handshake_timeout, stream.shutdown()).await;
        Ok(())
    }

    /// Returns the certificate of a challenge that this process or another one has presented.
    async fn challenge_of(&self, sni: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let (sni, challenges) = (sni?, &self.shared.challenges);
        match challenges.answer(sni) {
            Some(own) => Some(own),
            None => challenges.answer_of_other(sni).await,
        }
    }

    async fn read_client_hello<S>(&self, io: S) -> Result<StartHandshake<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let lazy = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), io);
        match timeout(self.handshake_timeout, lazy).await {
            Ok(start) => start.map_err(Error::Handshake),
            Err(_) => Err(Error::TimedOut),
        }
    }

    /// Returns the name for a client without SNI: the address that it connected to if that is a site of the listener, else the
    /// listener's default name.
    pub(super) fn name_without_sni(
        &self,
        local: SocketAddr,
        listener: ListenerId,
    ) -> Option<HostName> {
        let address = HostName::from(local.ip().to_canonical());
        let is_elsewhere = |site_tls: &SiteTls| !site_tls.listeners.contains(listener);
        let has_certificate = self.shared.cache.lookup(address.as_str()).is_some();
        if has_certificate && !self.site_tls(&address).is_some_and(is_elsewhere) {
            return Some(address);
        }
        let mut defaults = self.default_names.iter();
        let default = defaults.find(|(of, _)| *of == listener);
        default.map(|(_, name)| name.clone())
    }

    async fn certificate(
        &self,
        name: &HostName,
        client: IpAddr,
    ) -> Result<Arc<Certificate>, CertificateRefusal> {
        if let Some(certificate) = self.shared.cache.lookup(name.as_str()) {
            return Ok(certificate);
        }
        let obtained = self.shared.manager.certificate(name, client);
        match timeout(ISSUANCE_TIMEOUT, obtained).await {
            Ok(outcome) => outcome,
            Err(_) => Err(CertificateRefusal::StillOrdering),
        }
    }

    /// Returns the TLS settings of the site of this name, if sites differ.
    pub(super) fn site_tls(&self, name: &HostName) -> Option<&SiteTls> {
        if self.sites.is_empty() {
            None
        } else {
            self.sites.lookup(name.as_str())
        }
    }

    async fn finish<S>(
        &self,
        start: StartHandshake<S>,
        config: Arc<ServerConfig>,
    ) -> Result<server::TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match timeout(self.handshake_timeout, start.into_stream(config)).await {
            Ok(stream) => stream.map_err(Error::Handshake),
            Err(_) => Err(Error::TimedOut),
        }
    }

    async fn refuse<S, T>(&self, mut start: StartHandshake<S>, error: Error) -> Result<T, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = Instant::now() + self.handshake_timeout;
        let _ = timeout_at(deadline, async {
            start.io.write_all(&UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await
        })
        .await;
        Err(error)
    }
}

impl Shared {
    fn site_tls(&self, rules: &SiteRules) -> Result<SiteTls, rustls::Error> {
        let min = rules.min_version;
        let with_auth = |auth, transport| {
            let resolver = Arc::<BySni>::clone(&self.resolver);
            client_auth_config(resolver, auth, transport).map(Arc::new)
        };
        let config = match (&rules.client_auth, min) {
            (Some(auth), _) => with_auth(auth, Transport::Tcp(min))?,
            (None, TlsVersion::Tls12) => Arc::clone(&self.config),
            (None, TlsVersion::Tls13) => Arc::clone(&self.newest),
        };
        let quic = match &rules.client_auth {
            Some(auth) => with_auth(auth, Transport::Quic)?,
            None if rules.early_data => self.early_quic()?,
            None => Arc::clone(&self.quic),
        };
        Ok(SiteTls {
            config,
            quic,
            auth: rules.client_auth.clone(),
            listeners: rules.listeners.clone(),
        })
    }
}

impl Shared {
    fn early_quic(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        if let Some(config) = self.early_quic.get() {
            return Ok(Arc::clone(config));
        }
        let resolver = Arc::<BySni>::clone(&self.resolver);
        let config = Arc::new(early_data_config(resolver)?);
        Ok(Arc::clone(self.early_quic.get_or_init(|| config)))
    }
}

/// `true` if a client offers only the protocol of tls-alpn-01. A client that offers others too is not a CA (RFC 8737 section
/// 4).
fn is_acme_validation(hello: &ClientHello<'_>) -> bool {
    let Some(mut offered) = hello.alpn() else {
        return false;
    };
    offered.next() == Some(ACME_TLS) && offered.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::acme::{AccountKey, Identifier, KeyAuthorization, Presented, Solver};
    use crate::certs::challenge::TlsAlpn01Solver;
    use crate::certs::issuer::{InternalCa, InternalCaOptions, Issuer};
    use crate::certs::{CertificateStore, Issuers, ManagerParts, Ruleset};
    use crate::name::HostPattern;
    use crate::storage::{FileStorage, Storage};
    use crate::tasks::Tasks;

    const NAME: &str = "www.example.org";

    /// Accepts every certificate, as a scanner does.
    #[derive(Debug)]
    struct AcceptAll;

    impl ServerCertVerifier for AcceptAll {
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
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let provider = default_provider();
            provider
                .signature_verification_algorithms
                .supported_schemes()
        }
    }

    /// Starts a server that serves `NAME`, and may have a challenge for it.
    struct Server {
        acceptor: Acceptor,
        challenges: Arc<TlsAlpn01Certificates>,
        served: CertificateDer<'static>,
        _dir: tempfile::TempDir,
    }

    impl Server {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
            let issuer: Arc<dyn Issuer> = Arc::new(InternalCa::new(
                Arc::clone(&storage),
                InternalCaOptions::default(),
            ));
            let cache = Arc::new(CertCache::new(10));
            let pair = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
            let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
            let certificate = Certificate::from_pem_pair(chain.as_bytes(), key.as_bytes());
            let certificate = Arc::new(certificate.unwrap());
            let served = certificate.certified_key().cert[0].clone();
            cache.pin(&HostPattern::parse(NAME).unwrap(), certificate);
            let challenges = Arc::new(TlsAlpn01Certificates::new());
            let manager = crate::certs::start(ManagerParts {
                ruleset: Ruleset {
                    policies: NameMap::new(),
                    issuers: Issuers {
                        public: vec![Arc::clone(&issuer)],
                        internal: issuer,
                    },
                    preflight: None,
                    on_cert: None,
                },
                records: CertificateStore::new(storage),
                cache: Arc::clone(&cache),
                clock: crate::certs::Clock::system(),
                tasks: Tasks::new(),
            });
            let acceptor = Acceptor::new(AcceptorParts {
                cache,
                manager,
                challenges: Arc::clone(&challenges),
                rules: AcceptorRules {
                    default_names: vec![(ListenerId::default(), HostName::parse(NAME).unwrap())],
                    handshake_timeout: Duration::from_secs(10),
                    sites: NameMap::new(),
                },
            });
            Self {
                acceptor: acceptor.unwrap(),
                challenges,
                served,
                _dir: dir,
            }
        }

        async fn challenge(&self, name: &str) -> Presented {
            let solver = TlsAlpn01Solver::new(Arc::clone(&self.challenges));
            let identifier = Identifier::Dns(name.to_owned());
            let proof = KeyAuthorization::new("token", &AccountKey::generate().unwrap());
            let presented = solver.present(&identifier, "token", &proof).await;
            presented.unwrap()
        }

        /// The result on the client's side and on the server's.
        async fn look(
            &self,
            name: &'static str,
            offered: &[&str],
        ) -> (Result<Seen, String>, Result<bool, Error>) {
            let (client, server) = duplex(64 * 1024);
            let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 443));
            let serve = async {
                let (listener, buffers) = (ListenerId::default(), Arc::default());
                let acceptor = &self.acceptor;
                let accepted = acceptor.accept(server, local, local, listener, &buffers);
                let accepted = accepted.await?;
                Ok(accepted.is_some())
            };
            tokio::join!(see(client, name, offered), serve)
        }
    }

    struct Seen {
        certificate: CertificateDer<'static>,
        protocol: Option<Vec<u8>>,
    }

    /// Connects, and waits until the other end closes.
    async fn see(io: DuplexStream, name: &'static str, offered: &[&str]) -> Result<Seen, String> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAll))
            .with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|it| it.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name).unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, io).await;
        let mut stream = connected.map_err(|error| error.to_string())?;
        let connection = stream.get_ref().1;
        let seen = Seen {
            certificate: connection.peer_certificates().unwrap()[0].clone(),
            protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
        };
        let _ = stream.read_to_end(&mut Vec::new()).await;
        Ok(seen)
    }

    #[tokio::test]
    async fn a_ca_sees_the_challenge_and_the_connection_ends() {
        let server = Server::new();
        for name in [NAME, "new.example.org"] {
            let mut presented = server.challenge(name).await;
            let expected = server.challenges.answer(name).unwrap().cert[0].clone();

            let (seen, accepted) = server.look(name, &["acme-tls/1"]).await;

            let seen = seen.unwrap();
            assert_eq!(seen.certificate, expected);
            assert_eq!(seen.protocol.as_deref(), Some(ACME_TLS));
            assert!(!accepted.unwrap(), "no request may come in on it");
            presented.seen().await;
        }
    }

    #[tokio::test]
    async fn a_validation_of_an_unknown_challenge_gets_an_alert_and_no_certificate() {
        let server = Server::new();
        let _other = server.challenge("other.example.org").await;
        for name in [NAME, "unknown.example.org", "192.0.2.1"] {
            let (seen, accepted) = server.look(name, &["acme-tls/1"]).await;
            let alert = seen.err().unwrap();
            assert!(alert.contains("UnrecognisedName"), "{alert}");
            assert!(matches!(accepted, Err(Error::NoChallenge)));
        }
    }

    #[tokio::test]
    async fn clients_that_offer_other_protocols_too_never_see_a_challenge() {
        let server = Server::new();
        let _under_way = (
            server.challenge(NAME).await,
            server.challenge("new.example.org").await,
        );
        for offered in [["acme-tls/1", "h2"], ["h2", "acme-tls/1"]] {
            let (seen, accepted) = server.look(NAME, &offered).await;
            let seen = seen.unwrap();
            assert_eq!(seen.certificate, server.served);
            assert_eq!(seen.protocol.as_deref(), Some(&b"h2"[..]));
            assert!(accepted.unwrap());
            let (seen, _) = server.look("new.example.org", &offered).await;
            let alert = seen.err().unwrap();
            assert!(alert.contains("UnrecognisedName"), "{alert}");
        }
        let (seen, _) = server.look(NAME, &["acme-tls/1", "acme-tls/1"]).await;
        let alert = seen.err().unwrap();
        assert!(alert.contains("NoApplicationProtocol"), "{alert}");
    }
}
