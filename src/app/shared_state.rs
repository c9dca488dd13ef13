//! State that lasts as long as the process and survives every reload.

use std::sync::Arc;

use tracing::error;

use super::Error;
use super::workers::Workers;
use crate::admin::ReloadCounts;
use crate::certs::challenge::{ChallengeRecords, DnsUpdates, Http01Tokens, TlsAlpn01Certificates};
use crate::certs::{CertCache, CertificateStore, ResolverOptions};
use crate::config::Config;
use crate::figures::ConnectionFigures;
use crate::proxy::RefusalCounters;
use crate::storage::{FileStorage, Storage};
use crate::tasks::Tasks;
use crate::traces::SpanCounts;
use crate::upstream::{Resolver, UpstreamContext};

/// Number of parsed certificates in memory.
const CACHED_CERTIFICATES: usize = 10_000;

/// State that both towers share. Clones are the same state.
#[derive(Clone, Debug)]
pub(super) struct SharedState {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) cache: Arc<CertCache>,
    pub(super) tokens: Arc<Http01Tokens>,
    pub(super) challenges: Arc<TlsAlpn01Certificates>,
    pub(super) context: UpstreamContext,
    pub(super) refusals: RefusalCounters,
    pub(super) figures: ConnectionFigures,
    pub(super) dns_updates: DnsUpdates,
    pub(super) reloads: ReloadCounts,
    pub(super) spans: SpanCounts,
    /// Tasks that manage certificates.
    pub(super) background: Tasks,
    /// Tasks that remove challenges from DNS and from storage.
    pub(super) records: Tasks,
    /// Tasks that write access logs and export traces.
    pub(super) logs: Tasks,
}

impl SharedState {
    /// Opens storage. Backends may have `max_connections` connections in total.
    pub(super) fn open(config: &Config, max_connections: usize) -> Result<Self, Error> {
        let storage = open_storage(config)?;
        Ok(Self::with_storage(storage, config, max_connections))
    }

    /// State over a storage that is open already.
    pub(super) fn with_storage(
        storage: Arc<dyn Storage>,
        config: &Config,
        max_connections: usize,
    ) -> Self {
        let records = Tasks::at_home();
        let challenges = ChallengeRecords::new(Arc::clone(&storage), records.clone());
        Self {
            storage,
            cache: Arc::new(CertCache::new(CACHED_CERTIFICATES)),
            tokens: Arc::new(Http01Tokens::shared(challenges.clone())),
            challenges: Arc::new(TlsAlpn01Certificates::shared(challenges)),
            context: context(config, max_connections),
            refusals: RefusalCounters::new(Workers::count()),
            figures: ConnectionFigures::new(Workers::count()),
            dns_updates: DnsUpdates::default(),
            reloads: ReloadCounts::default(),
            spans: SpanCounts::default(),
            background: Tasks::at_home(),
            records,
            logs: Tasks::at_home(),
        }
    }

    pub(super) fn certificate_records(&self) -> CertificateStore {
        CertificateStore::new(Arc::clone(&self.storage))
    }
}

fn context(config: &Config, max_connections: usize) -> UpstreamContext {
    UpstreamContext {
        // Connections to backends have a limit of their own: one HTTP/2 client can keep many of them busy.
        connection_permits: Arc::new(tokio::sync::Semaphore::new(max_connections)),
        workers: Workers::count(),
        resolver: backend_resolver(&config.resolver),
        ..UpstreamContext::new(Tasks::new())
    }
}

/// Builds the resolver of backends, which asks the same servers as the DNS checks for certificates.
pub(super) fn backend_resolver(options: &ResolverOptions) -> Resolver {
    Resolver::new(options.servers.clone())
}

/// A full disk is only logged: the stored certificates can still be served.
pub(super) fn open_storage(config: &Config) -> Result<Arc<dyn Storage>, Error> {
    let storage = FileStorage::open(config.storage.directory())?;
    match storage.probe() {
        Err(error) if error.is_disk_unwritable() => {
            error!(%error, "storage cannot be written: no certificate can be ordered")
        }
        probed => probed?,
    }
    Ok(Arc::new(storage))
}
