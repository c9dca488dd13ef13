//! The rustls configurations: those that connections share together with their session tickets, and the one for tls-alpn-01
//! challenges.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::client_auth::ClientAuth;
use super::sni_lookup::Fixed;
use super::version::TlsVersion;
use crate::certs::Certificate;

/// The only protocol that a CA offers to validate a challenge (RFC 8737 section 4).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// Sessions that are kept for clients that may send early data.
const EARLY_SESSIONS: usize = 4096;

/// The transport below TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// TCP, with this version of TLS or a later one.
    Tcp(TlsVersion),
    /// QUIC, which requires TLS 1.3 (RFC 9001 section 4.2).
    Quic,
}

impl Transport {
    /// Returns the protocols that are offered, the best one first. HTTP/1.0 is answered like HTTP/1.1, whose parser reads it.
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Tcp(_) => ["h2", "http/1.1", "http/1.0"].map(Vec::from).to_vec(),
            Self::Quic => vec![b"h3".to_vec()],
        }
    }

    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tcp(min) => min.and_later(),
            Self::Quic => TlsVersion::Tls13.and_later(),
        }
    }
}

/// Builds a configuration with rustls' default cipher suites, HTTP/2 before HTTP/1.1, and stateless tickets whose keys rotate.
/// Each handshake sends one ticket: a client that resumes gets the next one.
pub(super) fn server_config(
    resolver: Arc<dyn ResolvesServerCert>,
    transport: Transport,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = without_resumption(resolver, transport)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// Builds a configuration for QUIC whose clients may send early data (0-RTT, RFC 9001 section 4.6). The sessions are kept here, and
/// each is resumed once, so early data that somebody has recorded is refused.
pub(super) fn early_data_config(
    resolver: Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = without_resumption(resolver, Transport::Quic)?;
    config.session_storage = ServerSessionMemoryCache::new(EARLY_SESSIONS);
    config.send_tls13_tickets = 1;
    // The only value that QUIC allows. Its windows limit the data.
    config.max_early_data_size = u32::MAX;
    Ok(config)
}

fn without_resumption(
    resolver: Arc<dyn ResolvesServerCert>,
    transport: Transport,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(transport.versions())?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = transport.protocols();
    forbid_resumption(&mut config);
    Ok(config)
}

/// Builds a configuration for a site with client certificates. Sessions cannot be resumed: each connection must show a
/// certificate, and a session of another site must not replace it.
pub(super) fn client_auth_config(
    resolver: Arc<dyn ResolvesServerCert>,
    auth: &ClientAuth,
    transport: Transport,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(transport.versions())?
        .with_client_cert_verifier(Arc::clone(&auth.verifier))
        .with_cert_resolver(resolver);
    config.alpn_protocols = transport.protocols();
    forbid_resumption(&mut config);
    Ok(config)
}

/// Makes each connection do a full handshake.
fn forbid_resumption(config: &mut ServerConfig) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
}

/// Builds a configuration that presents `certified` to a CA. Sessions cannot be resumed: each validation must see the
/// certificate.
pub(super) fn challenge_config(
    certified: Arc<CertifiedKey>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Fixed(certified)));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    forbid_resumption(&mut config);
    Ok(config)
}

/// Copies a configuration that serves one certificate, whatever the SNI.
pub(super) fn with_certificate(
    config: &ServerConfig,
    certificate: &Certificate,
) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.cert_resolver = Arc::new(Fixed(Arc::clone(certificate.certified_key())));
    Arc::new(config)
}
