//! Whom the doors of plain HTTP and of HTTPS believe, and whom they have had enough of.

use std::sync::Arc;

use crate::config::Config;
use crate::proxy::TrustedProxies;
use crate::server::{Crowd, Entry};

/// The entry of plain HTTP and that of HTTPS, which count clients together in `crowd`.
pub(super) fn entries(config: &Config, crowd: &Crowd) -> [Arc<Entry>; 2] {
    let networks = config.trust.iter().flat_map(|peer| peer.networks());
    let trust = Arc::new(TrustedProxies::new(networks));
    let crowd = crowd.with_limit(config.limits.connections_per_client);
    let listen = &config.listen;
    [listen.http_proxy_protocol, listen.https_proxy_protocol].map(|proxy_protocol| {
        Arc::new(Entry {
            trust: Arc::clone(&trust),
            crowd: crowd.clone(),
            proxy_protocol,
            timeout: config.limits.handshake_timeout,
        })
    })
}
