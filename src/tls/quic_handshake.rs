//! The handshake of one QUIC connection: chooses the certificate and the rules by the name in the ClientHello, as the acceptor
//! does for TCP. QUIC cannot wait for a certificate that is not in memory. Such a client comes over TCP first.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use quinn_proto::ConnectionId;
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::crypto::{self, Keys, Session, UnsupportedVersion};
use quinn_proto::transport_parameters::TransportParameters;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{ServerConnection, Suite, Version};
use rustls::server::ClientHello;
use rustls::{HandshakeKind, ServerConfig};

use super::acceptor::Acceptor;
use super::client_auth::{ClientAuth, ClientFacts};
use super::error::Error;
use super::quic_session::{QuicSession, SessionRules};
use super::server_config::with_certificate;
use crate::listener_names::ListenerId;
use crate::name::HostName;

/// The only version of QUIC (RFC 9000).
const VERSION: u32 = 1;

/// The two ends of a QUIC connection, and the listener that accepted it.
#[derive(Clone, Copy, Debug)]
pub struct QuicAddresses {
    /// The client's address.
    pub client: SocketAddr,
    /// The address that the client connected to.
    pub local: SocketAddr,
    /// The listener.
    pub listener: ListenerId,
}

/// A handshake, and what came of it.
pub struct QuicHandshake {
    acceptor: Arc<Acceptor>,
    keys: Arc<dyn crypto::ServerConfig>,
    addresses: QuicAddresses,
    outcome: Mutex<Outcome>,
}

/// The facts about a client that has finished its handshake.
#[derive(Debug, Default)]
pub struct QuicFacts {
    /// The name in the client's SNI.
    pub sni: Option<HostName>,
    /// `true` if an earlier session was resumed.
    pub is_resumed: bool,
    /// The client's certificate, if it was asked for one.
    pub client: Option<Box<ClientFacts>>,
}

#[derive(Debug, Default)]
struct Outcome {
    facts: QuicFacts,
    has_early_data: bool,
    is_complete: bool,
    auth: Option<Arc<ClientAuth>>,
    error: Option<Error>,
}

impl QuicHandshake {
    /// Prepares the handshake of a connection between these addresses.
    #[must_use]
    pub fn new(acceptor: Arc<Acceptor>, addresses: QuicAddresses) -> Arc<Self> {
        Arc::new(Self {
            keys: Self::first_keys(&acceptor),
            acceptor,
            addresses,
            outcome: Mutex::default(),
        })
    }

    /// Returns what has the keys of the first packets, which are the same for all connections.
    #[must_use]
    pub fn first_keys(acceptor: &Arc<Acceptor>) -> Arc<dyn crypto::ServerConfig> {
        let config = Arc::clone(&acceptor.shared.quic);
        let keys = QuicServerConfig::with_initial(config, suite());
        Arc::new(keys.expect("the suite is that of the first packets"))
    }

    /// `true` if some clients may send early data. Whether this one does is known once the ClientHello is read.
    #[must_use]
    pub fn may_have_early_data(&self) -> bool {
        self.acceptor.shared.early_quic.get().is_some()
    }

    /// `true` if the client has sent early data, and it is accepted.
    #[must_use]
    pub fn has_early_data(&self) -> bool {
        self.outcome.lock().has_early_data
    }

    /// `true` if the handshake has succeeded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.outcome.lock().is_complete
    }

    /// Returns the facts about the client: all of them after a handshake that has succeeded, and its name before.
    #[must_use]
    pub fn take_facts(&self) -> QuicFacts {
        std::mem::take(&mut self.outcome.lock().facts)
    }

    /// Returns why this side refused the handshake, if it did.
    #[must_use]
    pub fn take_error(&self) -> Option<Error> {
        self.outcome.lock().error.take()
    }
}

impl SessionRules for QuicHandshake {
    fn config_for(&self, hello: &ClientHello<'_>) -> Result<Arc<ServerConfig>, Error> {
        let QuicAddresses {
            local, listener, ..
        } = self.addresses;
        let sni = match hello.server_name().map(HostName::parse) {
            Some(Ok(name)) => Some(name),
            Some(Err(_)) => return Err(Error::BadName),
            None => None,
        };
        let name = sni.clone();
        let name = name.or_else(|| self.acceptor.name_without_sni(local, listener));
        let name = name.ok_or(Error::NoName)?;
        let shared = &self.acceptor.shared;
        let site_tls = self.acceptor.site_tls(&name);
        if site_tls.is_some_and(|site_tls| !site_tls.listeners.contains(listener)) {
            return Err(Error::OtherListener { name });
        }
        let Some(certificate) = shared.cache.lookup(name.as_str()) else {
            return Err(Error::NotInMemory { name });
        };
        let config = site_tls.map_or(&shared.quic, |site_tls| &site_tls.quic);
        let config = match sni {
            Some(_) => Arc::clone(config),
            None => with_certificate(config, &certificate),
        };
        let mut outcome = self.outcome.lock();
        outcome.facts.sni = sni;
        outcome.auth = site_tls.and_then(|site_tls| site_tls.auth.clone());
        Ok(config)
    }

    fn began(&self, tls: &ServerConnection) {
        self.outcome.lock().has_early_data = tls.zero_rtt_keys().is_some();
    }

    fn succeeded(&self, tls: &ServerConnection) {
        let mut outcome = self.outcome.lock();
        outcome.is_complete = true;
        let auth = outcome.auth.take();
        outcome.facts.is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        outcome.facts.client = auth.map(|auth| Box::new(auth.facts(tls.peer_certificates())));
    }

    fn failed(&self, error: Error) {
        self.outcome.lock().error = Some(error);
    }
}

impl std::fmt::Debug for QuicHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("QuicHandshake")
            .field(&self.addresses)
            .finish()
    }
}

/// Returns the suite of the first packets (RFC 9001 section 5.2).
fn suite() -> Suite {
    let suite = TLS13_AES_128_GCM_SHA256.tls13();
    let suite = suite.and_then(|suite| suite.quic_suite());
    suite.expect("aws-lc-rs has AES-128-GCM for QUIC")
}

impl crypto::ServerConfig for QuicHandshake {
    fn initial_keys(&self, version: u32, id: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        if version != VERSION {
            return Err(UnsupportedVersion);
        }
        self.keys.initial_keys(version, id)
    }

    fn retry_tag(&self, version: u32, original_id: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.keys.retry_tag(version, original_id, packet)
    }

    fn start_session(self: Arc<Self>, _: u32, params: &TransportParameters) -> Box<dyn Session> {
        Box::new(QuicSession::new(self, suite(), Version::V1, params))
    }
}
