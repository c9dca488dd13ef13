//! The certificate resolver of rustls: looks up certificates in memory, and does nothing else. `CertCache::lookup` finds exact
//! names and wildcards; the acceptor chooses the name for clients without SNI and loads what is missing.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certs::CertCache;

/// Looks up the SNI in the cache, which the acceptor has filled before.
#[derive(Debug)]
pub(super) struct BySni {
    pub(super) cache: Arc<CertCache>,
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = client_hello.server_name()?;
        let certificate = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.cache.lookup(&name.to_ascii_lowercase())
        } else {
            self.cache.lookup(name)
        };
        certificate.map(|certificate| Arc::clone(certificate.certified_key()))
    }
}

/// Returns always the same certificate, for clients without SNI.
pub(super) struct Fixed(pub(super) Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixed(..)")
    }
}
