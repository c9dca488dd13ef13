//! The handshake: read the ClientHello, see to a certificate for its name, then go on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::Error;
use super::refusal_log::RefusalLog;
use super::resolver::{BySni, Fixed};
use super::server_config::server_config;
use crate::certs::{CertCache, CertManager, Certificate, Refusal};
use crate::name::HostName;

/// How long a handshake may wait for a certificate that is being obtained.
const ISSUANCE_TIMEOUT: Duration = Duration::from_secs(60);

/// A fatal alert `unrecognized_name` (RFC 6066 section 3) as a plaintext TLS record: the handshake
/// has no keys yet when it is sent.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What an acceptor is built from.
#[derive(Debug)]
pub struct AcceptorParts {
    /// The certificates that are served.
    pub cache: Arc<CertCache>,
    /// Gets those that are not in the cache.
    pub manager: CertManager,
    /// Whose certificate a client gets that names no host.
    pub default_name: Option<HostName>,
    /// How long a client may take, without the wait for a certificate.
    pub handshake_timeout: Duration,
}

/// Accepts TLS connections.
#[derive(Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    cache: Arc<CertCache>,
    manager: CertManager,
    default_name: Option<HostName>,
    handshake_timeout: Duration,
    refusals: RefusalLog,
}

/// A finished handshake.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub stream: TlsStream<S>,
    /// The name that the client asked for.
    pub sni: Option<HostName>,
    /// Whether the client speaks HTTP/2.
    pub is_h2: bool,
}

impl Acceptor {
    /// An acceptor over a cache and the manager that fills it.
    pub fn new(parts: AcceptorParts) -> Result<Self, rustls::Error> {
        let AcceptorParts {
            cache,
            manager,
            default_name,
            handshake_timeout,
        } = parts;
        let config = Arc::new(server_config(Arc::new(BySni {
            cache: Arc::clone(&cache),
        }))?);
        let refusals = RefusalLog::default();
        Ok(Self {
            config,
            cache,
            manager,
            default_name,
            handshake_timeout,
            refusals,
        })
    }

    /// Makes a TLS connection of `io`, or tells the client why not and closes it.
    pub async fn accept<S>(
        &self,
        io: S,
        client: SocketAddr,
        local: SocketAddr,
    ) -> Result<Accepted<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = self.read_client_hello(io).await?;
        let sni = match start.client_hello().server_name().map(HostName::parse) {
            Some(Ok(name)) => Some(name),
            Some(Err(_)) => return self.refuse(start, Error::BadName).await,
            None => None,
        };
        let Some(name) = sni.clone().or_else(|| self.unnamed(local)) else {
            return self.refuse(start, Error::NoName).await;
        };
        let certificate = match self.certificate(&name, client.ip()).await {
            Ok(certificate) => certificate,
            Err(refusal) => {
                self.refusals.say(client, &name, &refusal);
                return self.refuse(start, Error::Refused { name, refusal }).await;
            }
        };
        let config = match sni {
            Some(_) => Arc::clone(&self.config),
            None => self.fixed(&certificate),
        };
        let stream = self.finish(start, config).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Accepted { stream, sni, is_h2 })
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

    /// The name for a client that gave none: the address it reached, when that is a site, else the
    /// default.
    fn unnamed(&self, local: SocketAddr) -> Option<HostName> {
        let address = HostName::from(local.ip().to_canonical());
        match self.cache.lookup(address.as_str()) {
            Some(_) => Some(address),
            None => self.default_name.clone(),
        }
    }

    async fn certificate(
        &self,
        name: &HostName,
        client: IpAddr,
    ) -> Result<Arc<Certificate>, Refusal> {
        if let Some(certificate) = self.cache.lookup(name.as_str()) {
            return Ok(certificate);
        }
        match timeout(ISSUANCE_TIMEOUT, self.manager.certificate(name, client)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Refusal::StillOrdering),
        }
    }

    fn fixed(&self, certificate: &Certificate) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(Fixed(Arc::clone(certificate.certified_key())));
        Arc::new(config)
    }

    async fn finish<S>(
        &self,
        start: StartHandshake<S>,
        config: Arc<ServerConfig>,
    ) -> Result<TlsStream<S>, Error>
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
