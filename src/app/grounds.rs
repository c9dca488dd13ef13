//! What lasts for as long as the process, whatever the configuration says.

use std::sync::Arc;

use tracing::error;

use super::workers::Workers;
use super::{Error, sites};
use crate::certs::challenge::{Http01Tokens, TlsAlpn01Certificates};
use crate::certs::{CertCache, Records};
use crate::config::Config;
use crate::proxy::RefusalCounters;
use crate::storage::{FileStorage, Storage};
use crate::tasks::Tasks;
use crate::upstream::UpstreamContext;

/// How many parsed certificates are held.
const CACHED_CERTIFICATES: usize = 10_000;

/// What both towers stand on. Clones are the same grounds.
#[derive(Clone, Debug)]
pub(super) struct Grounds {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) cache: Arc<CertCache>,
    pub(super) tokens: Arc<Http01Tokens>,
    pub(super) challenges: Arc<TlsAlpn01Certificates>,
    pub(super) means: UpstreamContext,
    pub(super) refusals: RefusalCounters,
    /// Sees to certificates.
    pub(super) background: Tasks,
    /// Removes DNS records when they are no longer needed.
    pub(super) records: Tasks,
    /// Writes access logs.
    pub(super) logs: Tasks,
}

impl Grounds {
    /// Opens storage. As many connections may be open as `fitting` says.
    pub(super) fn open(config: &Config, fitting: usize) -> Result<Self, Error> {
        Ok(Self {
            storage: open_storage(config)?,
            cache: Arc::new(CertCache::new(CACHED_CERTIFICATES)),
            tokens: Arc::new(Http01Tokens::new()),
            challenges: Arc::new(TlsAlpn01Certificates::new()),
            means: means(config, fitting),
            refusals: RefusalCounters::new(Workers::count()),
            background: Tasks::at_home(),
            records: Tasks::at_home(),
            logs: Tasks::at_home(),
        })
    }

    pub(super) fn certificate_records(&self) -> Records {
        Records::new(Arc::clone(&self.storage))
    }
}

fn means(config: &Config, fitting: usize) -> UpstreamContext {
    UpstreamContext {
        // One HTTP/2 client can keep many backend connections busy: they have a bound of their own.
        connection_permits: Arc::new(tokio::sync::Semaphore::new(fitting)),
        workers: Workers::count(),
        resolver: sites::resolver(&config.resolver),
        ..UpstreamContext::new(Tasks::new())
    }
}

/// A full disk does not keep the sites down whose certificates can be read.
pub(super) fn open_storage(config: &Config) -> Result<Arc<dyn Storage>, Error> {
    let storage = FileStorage::open(config.storage.directory())?;
    match storage.probe() {
        Err(error) if error.is_passing() => {
            error!(%error, "nothing can be stored, and no certificate ordered")
        }
        probed => probed?,
    }
    Ok(Arc::new(storage))
}
