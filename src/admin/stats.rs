//! Statistics of a running proxy, for `proxy status` and the page of metrics.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::reload_counts::ReloadCounts;
use super::status::ListenerStatus;
use crate::certs::CertManager;
use crate::certs::challenge::DnsUpdates;
use crate::figures::ConnectionFigures;
use crate::proxy::{CurrentRouter, RefusalCounters};
use crate::traces::SpanCounts;

/// The sources of statistics. Nothing is counted here: all numbers come from values that serve another purpose too.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Start of the proxy, to measure its uptime.
    pub started: Instant,
    /// Start of the proxy by the system's clock.
    pub started_at: SystemTime,
    /// The free slots of connections.
    pub permits: Arc<Semaphore>,
    /// Number of all slots.
    pub max_connections: usize,
    /// The sites.
    pub current_router: Arc<CurrentRouter>,
    /// The open listeners.
    pub listeners: Arc<ArcSwap<Vec<ListenerStatus>>>,
    /// Counters of refusals.
    pub refusals: RefusalCounters,
    /// Counters of connections and handshakes.
    pub figures: ConnectionFigures,
    /// Counters of updates in DNS.
    pub dns_updates: DnsUpdates,
    /// Counters of reloads.
    pub reloads: ReloadCounts,
    /// Counters of exported spans.
    pub spans: SpanCounts,
    /// The certificates.
    pub manager: CertManager,
}

impl Stats {
    /// Returns the number of connected clients.
    pub(super) fn connections(&self) -> usize {
        self.max_connections
            .saturating_sub(self.permits.available_permits())
    }
}
