//! Whom the doors of plain HTTP and of HTTPS believe, and whom they have had enough of.

use std::sync::Arc;

use crate::config::Config;
use crate::proxy::Trust;
use crate::server::{Crowd, Entry};

/// The entry of plain HTTP and that of HTTPS, which count clients together.
pub(super) fn entries(config: &Config) -> [Arc<Entry>; 2] {
    let networks = config.trust.iter().flat_map(|peer| peer.networks());
    let trust = Arc::new(Trust::new(networks));
    let crowd = Crowd::new(config.limits.connections_per_client);
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
