//! The rustls configurations that connections share, and with them their session tickets; and the one
//! for a CA that looks for a challenge.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::client_auth::ClientAuth;
use super::resolver::Fixed;
use super::version::TlsVersion;

/// What a CA offers, and nothing else, when it looks for a challenge (RFC 8737 section 4).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// TLS from `min` on with rustls' own choice of suites, HTTP/2 before HTTP/1.1, and stateless tickets
/// whose keys rotate. One ticket a handshake: a client that resumes gets the next one then.
pub(super) fn server_config(
    resolver: Arc<dyn ResolvesServerCert>,
    min: TlsVersion,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(min.and_later())?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// The same for a site that asks its clients for certificates. No session is kept: each connection shows its certificate
/// anew, and none that was opened elsewhere can be taken up here without one.
pub(super) fn asking_config(
    resolver: Arc<dyn ResolvesServerCert>,
    (auth, min): (&ClientAuth, TlsVersion),
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(min.and_later())?
        .with_client_cert_verifier(Arc::clone(&auth.verifier))
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Shows `certified` to a CA. No session is kept: each look has to see the certificate.
pub(super) fn challenge_config(
    certified: Arc<CertifiedKey>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Fixed(certified)));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
