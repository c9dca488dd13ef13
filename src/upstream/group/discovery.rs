//! Discovery of the backends of an upstream: IP addresses are fixed, names are followed in DNS.

use std::io;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::backend_set::{BackendSet, BackendSpec};
use super::carry_over::PreviousBackend;
use super::settings::UpstreamSettings;
use super::weights::{by_target, saturating_len, weight_parts};
use crate::per_worker::{CachePadded, PerWorker};
use crate::tasks::Shutdown;
use crate::upstream::address::Address;
use crate::upstream::backend::Backend;
use crate::upstream::dns::{CachedName, RETRY_AFTER, ResolvedAddress};
use crate::upstream::error::Error;

/// Source of the backends of an upstream.
#[derive(Debug)]
pub(super) enum Discovery {
    /// A set that never changes.
    Fixed(BackendSet),
    /// A set that follows DNS.
    Named(Arc<NamedBackends>),
}

/// The backends of this moment, for the length of a request.
#[derive(Debug)]
pub(super) enum CurrentBackends<'a> {
    Fixed(&'a BackendSet),
    Named(WorkerBackends),
}

/// One worker's reference to a set. Its count of requests lies on cache lines of its own, so that no two workers write to the
/// same memory.
type WorkerBackends = Arc<CachePadded<Arc<BackendSet>>>;

impl Deref for CurrentBackends<'_> {
    type Target = BackendSet;

    fn deref(&self) -> &BackendSet {
        match self {
            Self::Fixed(backends) => backends,
            Self::Named(backends) => backends,
        }
    }
}

impl Discovery {
    /// The backends at these addresses, with the state of `previous` ones. Names keep the addresses that the `old` upstreams
    /// know until DNS answers. Needs a runtime if one of the addresses is a name.
    pub(super) fn new(
        addresses: Vec<Address>,
        old: &[&Self],
        previous: &[PreviousBackend],
        settings: &Arc<UpstreamSettings>,
    ) -> Self {
        let configured = |address| ConfiguredAddress::new(address, old, settings);
        let addresses: Box<[_]> = addresses.into_iter().map(configured).collect();
        if addresses.iter().any(|address| address.name.is_some()) {
            Self::Named(NamedBackends::start(addresses, previous, settings))
        } else {
            Self::Fixed(BackendSet::new(specs(&addresses), previous, settings))
        }
    }

    /// The addresses to which the name in `address` has resolved, if any.
    fn resolved(&self, address: &Address) -> Option<Vec<ResolvedAddress>> {
        let Self::Named(named) = self else {
            return None;
        };
        let configured = named.addresses.iter().find(|it| it.address == *address)?;
        let resolved = configured.resolved();
        resolved.filter(|resolved| !resolved.is_empty())
    }

    /// `true` if backends are found in DNS.
    pub(super) fn uses_dns(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// The backends that are known now; `None` if no name has resolved.
    pub(super) fn current(&self, worker: usize) -> Option<CurrentBackends<'_>> {
        match self {
            Self::Fixed(backends) => Some(CurrentBackends::Fixed(backends)),
            Self::Named(named) => named.current(worker).map(CurrentBackends::Named),
        }
    }

    /// The backends after a query to DNS.
    pub(super) async fn resolve(&self, worker: usize) -> Result<CurrentBackends<'_>, Error> {
        match self {
            Self::Fixed(backends) => Ok(CurrentBackends::Fixed(backends)),
            Self::Named(named) => Ok(CurrentBackends::Named(named.resolve(worker).await?)),
        }
    }

    /// All backends, in the order of their addresses.
    pub(super) fn backends(&self) -> Vec<Backend> {
        match self {
            Self::Fixed(backends) => backends.as_slice().to_vec(),
            Self::Named(named) => named.backends(),
        }
    }
}

/// One address of the configuration, with what it resolves to.
#[derive(Debug)]
struct ConfiguredAddress {
    address: Address,
    /// Set if it is a name.
    name: Option<Arc<CachedName>>,
    resolved: Mutex<Vec<ResolvedAddress>>,
}

impl ConfiguredAddress {
    /// Until DNS answers, a name has the addresses that it had before.
    fn new(address: Address, old: &[&Discovery], settings: &UpstreamSettings) -> Self {
        let name = settings.context.resolver.name_of(&address);
        let known = name.as_ref().and_then(|name| name.known());
        let resolved = match known {
            Some(known) => known.addresses.clone(),
            None => {
                let mut old = old.iter();
                let resolved = old.find_map(|discovery| discovery.resolved(&address));
                resolved.unwrap_or_default()
            }
        };
        Self {
            address,
            name,
            resolved: Mutex::new(resolved),
        }
    }

    /// The addresses to which its name has resolved; `None` if it is no name.
    fn resolved(&self) -> Option<Vec<ResolvedAddress>> {
        self.name.as_ref().map(|_| self.resolved.lock().clone())
    }

    /// Records the addresses to which a name resolves. Returns `true` if they have changed.
    fn set_resolved(&self, addresses: &[ResolvedAddress]) -> bool {
        let mut resolved = self.resolved.lock();
        let is_new = *resolved != addresses;
        if is_new {
            addresses.clone_into(&mut resolved);
        }
        is_new
    }
}

/// All backends, each with the number of its address in the configuration. The addresses of an SRV target share its weight.
fn specs(configured: &[ConfiguredAddress]) -> Vec<BackendSpec> {
    let resolved: Vec<_> = configured.iter().map(ConfiguredAddress::resolved).collect();
    let parts = weight_parts(resolved.iter().flatten());
    let mut specs = Vec::new();
    for (number, (configured, resolved)) in configured.iter().zip(resolved).enumerate() {
        let whole = &configured.address;
        let spec = |address, weight| BackendSpec {
            number,
            address,
            weight,
        };
        let Some(resolved) = resolved else {
            specs.push(spec(whole.clone(), parts));
            continue;
        };
        for alike in by_target(&resolved) {
            let weight = match alike[0].target() {
                None => parts,
                Some(target) => u32::from(target.weight) * parts / saturating_len(alike),
            };
            let addresses = alike.iter().map(|resolved| resolved.backend_of(whole));
            specs.extend(addresses.map(|address| spec(address, weight)));
        }
    }
    specs
}

/// Backends of which some are found by name.
#[derive(Debug)]
pub(super) struct NamedBackends {
    addresses: Box<[ConfiguredAddress]>,
    settings: Arc<UpstreamSettings>,
    current: PerWorker<ArcSwap<CachePadded<Arc<BackendSet>>>>,
    /// Locked while the set is replaced.
    changing: Mutex<()>,
}

impl NamedBackends {
    fn start(
        addresses: Box<[ConfiguredAddress]>,
        previous: &[PreviousBackend],
        settings: &Arc<UpstreamSettings>,
    ) -> Arc<Self> {
        let backends = Arc::new(BackendSet::new(specs(&addresses), previous, settings));
        let current = |_| ArcSwap::from(worker_backends(&backends));
        let named = Arc::new(Self {
            current: PerWorker::new(settings.context.workers, current),
            addresses,
            settings: Arc::clone(settings),
            changing: Mutex::new(()),
        });
        let tasks = &settings.context.tasks;
        for (number, configured) in named.addresses.iter().enumerate() {
            if configured.name.is_some() {
                tasks.spawn(follow(Arc::downgrade(&named), number, tasks.shutdown()));
            }
        }
        named
    }

    fn current(&self, worker: usize) -> Option<WorkerBackends> {
        let backends = self.current[worker].load_full();
        (!backends.as_slice().is_empty()).then_some(backends)
    }

    fn backends(&self) -> Vec<Backend> {
        self.current[0].load().as_slice().to_vec()
    }

    /// The backends after the first name has resolved.
    async fn resolve(&self, worker: usize) -> Result<WorkerBackends, Error> {
        let resolving = async {
            let addresses = self.addresses.iter();
            let mut answers: FuturesUnordered<_> =
                addresses.map(|configured| self.ask(configured)).collect();
            let mut last = None;
            while let Some(answer) = answers.next().await {
                match self.current(worker) {
                    Some(backends) => return Ok(backends),
                    None => last = answer.err().or(last),
                }
            }
            Err(last.unwrap_or(Error::NoBackend))
        };
        let resolved = timeout(self.settings.options.connect_timeout, resolving).await;
        resolved.unwrap_or_else(|_| {
            Err(Error::ConnectTimeout {
                backend: self.addresses[0].address.clone(),
            })
        })
    }

    /// Resolves an address. Returns the time until which the answer may be used.
    async fn ask(&self, configured: &ConfiguredAddress) -> Result<Option<Instant>, Error> {
        let Some(name) = &configured.name else {
            return Ok(None);
        };
        let answer = name.addresses().await;
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let is_new = match &answer {
            Ok(known) => configured.set_resolved(&known.addresses),
            Err(error) if is_gone(error) => configured.set_resolved(&[]),
            // The addresses from before are the best guess.
            Err(_) => false,
        };
        if is_new {
            debug!(host = %name.name(), addresses = ?configured.resolved(), "name of backends has new addresses");
            self.change();
        }
        match answer {
            Ok(known) => Ok(Some(known.until)),
            Err(source) => Err(Error::Resolve {
                backend: configured.address.clone(),
                source,
            }),
        }
    }

    /// Replaces the set by the backends that are known now. Backends that stay keep their state; those that go serve their
    /// requests to the end.
    fn change(&self) {
        let _changing = self.changing.lock();
        let previous = PreviousBackend::all(&self.settings, self.backends());
        let specs = specs(&self.addresses);
        let backends = Arc::new(BackendSet::new(specs, &previous, &self.settings));
        for current in &self.current {
            current.store(worker_backends(&backends));
        }
    }
}

fn worker_backends(backends: &Arc<BackendSet>) -> WorkerBackends {
    Arc::new(CachePadded::new(Arc::clone(backends)))
}

/// Resolves one address whenever its answer expires, for as long as the upstream is in use.
async fn follow(named: Weak<NamedBackends>, number: usize, shutdown: Shutdown) {
    let mut is_resolved = true;
    while let Some(backends) = named.upgrade() {
        let answer = tokio::select! {
            answer = backends.ask(&backends.addresses[number]) => answer,
            () = shutdown.requested() => return,
        };
        drop(backends);
        if let Err(error) = &answer
            && is_resolved
        {
            warn!(
                error = error as &dyn std::error::Error,
                "name of backends does not resolve"
            );
        }
        is_resolved = answer.is_ok();
        let until = answer.ok().flatten();
        tokio::select! {
            () = sleep_until(until.unwrap_or_else(|| Instant::now() + RETRY_AFTER)) => {}
            () = shutdown.requested() => return,
        }
    }
}
