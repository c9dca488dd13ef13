//! Discovery of the backends of an upstream. IP addresses are fixed; names are resolved again whenever their DNS
//! answers expire.

use std::io;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::backend_set::{BackendSet, BackendSpec};
use super::carry_over::PreviousBackend;
use super::settings::UpstreamSettings;
use super::weight_ratios::{by_target, saturating_len, weight_parts};
use crate::per_worker::{CachePadded, PerWorker};
use crate::tasks::Shutdown;
use crate::upstream::address::Address;
use crate::upstream::backend::Backend;
use crate::upstream::dns::{CachedName, NameFailure, NameFailures, RETRY_AFTER, ResolvedIp};
use crate::upstream::error::Error;

/// Source of the backends of an upstream.
#[derive(Debug)]
pub(super) enum Discovery {
    /// Backends that never change.
    Fixed(BackendSet),
    /// Backends that follow DNS.
    Named(Arc<NamedBackends>),
}

/// The current backends, held for the duration of one request.
#[derive(Debug)]
pub(super) enum CurrentBackends<'a> {
    Fixed(&'a BackendSet),
    Named(WorkerBackends),
}

/// One worker's reference to a set of backends. Each worker has its own reference count on its own cache lines, so that
/// no two workers write to the same memory.
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
    /// Discovers the backends at these addresses, with state from the `previous` ones. Until DNS answers, names keep
    /// the addresses that `old` upstreams have resolved. Needs a runtime if one of the addresses is a name.
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

    /// Addresses to which the name in `address` has resolved, if any.
    fn resolved(&self, address: &Address) -> Option<Vec<ResolvedIp>> {
        let Self::Named(named) = self else {
            return None;
        };
        let mut configured = named.addresses.iter();
        let resolved = configured.find(|own| own.address == *address)?.resolved();
        resolved.filter(|resolved| !resolved.is_empty())
    }

    /// `true` if any of the addresses is a DNS name.
    pub(super) fn uses_dns(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Returns the current backends; `None` if no name has resolved yet.
    pub(super) fn current(&self, worker: usize) -> Option<CurrentBackends<'_>> {
        match self {
            Self::Fixed(backends) => Some(CurrentBackends::Fixed(backends)),
            Self::Named(named) => named.current(worker).map(CurrentBackends::Named),
        }
    }

    /// Resolves the names and returns the backends. Fails if no name resolves within the connect time-out.
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

/// One configured address, and the addresses to which it resolves.
#[derive(Debug)]
struct ConfiguredAddress {
    address: Address,
    /// DNS name of the address, if it has one.
    name: Option<Arc<CachedName>>,
    resolved: Mutex<Vec<ResolvedIp>>,
}

impl ConfiguredAddress {
    /// Starts with the cached addresses of a name, or else with those that `old` upstreams have resolved.
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

    /// Addresses to which the name has resolved; `None` if the address is not a name.
    fn resolved(&self) -> Option<Vec<ResolvedIp>> {
        self.name.as_ref().map(|_| self.resolved.lock().clone())
    }

    /// Records the addresses to which a name resolves. Returns `true` if they have changed.
    fn set_resolved(&self, addresses: &[ResolvedIp]) -> bool {
        let mut resolved = self.resolved.lock();
        let has_changed = *resolved != addresses;
        if has_changed {
            addresses.clone_into(&mut resolved);
        }
        has_changed
    }
}

/// Returns a spec for each backend. The addresses of one SRV target share its weight.
fn specs(configured: &[ConfiguredAddress]) -> Vec<BackendSpec> {
    let resolved: Vec<_> = configured.iter().map(ConfiguredAddress::resolved).collect();
    let parts = weight_parts(resolved.iter().flatten());
    let mut specs = Vec::new();
    for (number, (configured, resolved)) in configured.iter().zip(resolved).enumerate() {
        let address = &configured.address;
        let spec = |address, weight| BackendSpec {
            number,
            address,
            weight,
        };
        let Some(resolved) = resolved else {
            specs.push(spec(address.clone(), parts));
            continue;
        };
        for of_target in by_target(&resolved) {
            let weight = match of_target[0].target() {
                None => parts,
                Some(target) => u32::from(target.weight) * parts / saturating_len(of_target),
            };
            let backends = of_target.iter().map(|found| found.backend_of(address));
            specs.extend(backends.map(|backend| spec(backend, weight)));
        }
    }
    specs
}

/// Backends at configured addresses of which at least one is a DNS name.
#[derive(Debug)]
pub(super) struct NamedBackends {
    addresses: Box<[ConfiguredAddress]>,
    settings: Arc<UpstreamSettings>,
    current: PerWorker<ArcSwap<CachePadded<Arc<BackendSet>>>>,
    /// Held while the backends are replaced.
    replacing: Mutex<()>,
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
            replacing: Mutex::new(()),
        });
        let tasks = &settings.context.tasks;
        for (number, configured) in named.addresses.iter().enumerate() {
            if configured.name.is_some() {
                let weak = Arc::downgrade(&named);
                let failures = Arc::clone(settings.context.resolver.failures());
                tasks.spawn(keep_resolved(weak, number, failures, tasks.shutdown()));
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

    /// Returns the backends as soon as one of the names has resolved.
    async fn resolve(&self, worker: usize) -> Result<WorkerBackends, Error> {
        let resolving = async {
            let addresses = self.addresses.iter();
            let mut answers: FuturesUnordered<_> = addresses
                .map(|configured| self.update(configured))
                .collect();
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

    /// Resolves one address, and replaces the backends if the answer has changed. Returns the time at which the answer
    /// expires; `None` for an IP address.
    async fn update(&self, configured: &ConfiguredAddress) -> Result<Option<Instant>, Error> {
        let Some(name) = &configured.name else {
            return Ok(None);
        };
        let answer = name.addresses().await;
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let has_changed = match &answer {
            Ok(known) => configured.set_resolved(&known.addresses),
            Err(error) if is_gone(error) => configured.set_resolved(&[]),
            // DNS is out of reach, so the previous addresses are the best guess.
            Err(_) => false,
        };
        if has_changed {
            debug!(host = %name.name(), addresses = ?configured.resolved(), "backend name has new addresses");
            self.replace_backends();
        }
        match answer {
            Ok(known) => Ok(Some(known.until)),
            Err(source) => Err(Error::Resolve {
                backend: configured.address.clone(),
                source,
            }),
        }
    }

    /// Replaces the backends by those at the addresses that are known now. Backends that stay keep their state.
    /// Backends that go finish their requests.
    fn replace_backends(&self) {
        let _replacing = self.replacing.lock();
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

/// Resolves one address again whenever its answer expires, as long as the upstream is in use.
async fn keep_resolved(
    named: Weak<NamedBackends>,
    number: usize,
    failures: Arc<NameFailures>,
    shutdown: Shutdown,
) {
    let mut is_resolved = true;
    while let Some(backends) = named.upgrade() {
        let answer = tokio::select! {
            answer = backends.update(&backends.addresses[number]) => answer,
            () = shutdown.requested() => return,
        };
        drop(backends);
        if let Err(Error::Resolve { backend, source }) = &answer
            && is_resolved
        {
            failures.note(NameFailure::NotResolved, backend, source);
        }
        is_resolved = answer.is_ok();
        let until = answer.ok().flatten();
        let until = until.unwrap_or_else(|| Instant::now() + RETRY_AFTER);
        tokio::select! {
            ((), ()) = join(failures.write_due(), sleep_until(until)) => {}
            () = shutdown.requested() => return failures.write_all(),
        }
    }
}
