//! The current backends of an upstream, and the selection of one of them for a request.

use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;

use super::carry_over::{PreviousBackend, carry_over};
use super::selected_backend::{Caller, Selected, Selection};
use super::settings::UpstreamSettings;
use super::weight_ratios::reduced;
use crate::per_worker::{CachePadded, PerWorker};
use crate::upstream::address::Address;
use crate::upstream::backend::Backend;
use crate::upstream::balance::{Candidates, RoundRobin, StickyCookie, pick};
use crate::upstream::error::Error;
use crate::upstream::options::{BalanceMethod, CookieKey, Share};

/// Set of backends among which requests are distributed.
#[derive(Debug)]
pub(super) struct BackendSet {
    backends: Vec<Backend>,
    /// `true` if all backends have the same weight, and it is not 0.
    is_even: bool,
    method: BalanceMethod,
    sticky: Option<Box<StickyCookie>>,
    round_robins: PerWorker<CachePadded<RoundRobin>>,
}

/// Address and weight of a backend of the set.
#[derive(Debug)]
pub(super) struct BackendSpec {
    /// Position in the configuration, which gives its [`Share`].
    pub(super) number: usize,
    pub(super) address: Address,
    /// Factor by which the configured weight is multiplied.
    pub(super) weight: u32,
}

impl BackendSet {
    /// A set with one backend for each spec. Backends that are among the `previous` ones keep their state. Starts
    /// health checks if they are configured; this needs a runtime.
    pub(super) fn new(
        specs: Vec<BackendSpec>,
        previous: &[PreviousBackend],
        settings: &Arc<UpstreamSettings>,
    ) -> Self {
        let balancing = &settings.options.balancing;
        let weight = |spec: &BackendSpec| {
            u64::from(balancing.share(spec.number).weight) * u64::from(spec.weight)
        };
        let weights = reduced(specs.iter().map(weight).collect());
        let backends: Vec<_> = specs
            .into_iter()
            .zip(weights)
            .map(|(spec, weight)| {
                let share = Share {
                    weight,
                    ..balancing.share(spec.number)
                };
                let backend = carry_over(previous, spec.address, settings);
                backend.with_share(share, balancing.max_connections, &settings.context.tasks)
            })
            .collect();
        let sticky = (balancing.method == BalanceMethod::Cookie).then(|| {
            let addresses = backends.iter().map(|backend| backend.address().to_string());
            let key = balancing.cookie_key.as_ref();
            let key = key.map_or(&settings.context.cookie_key[..], CookieKey::secret);
            Box::new(StickyCookie::new(&balancing.cookie_name, key, addresses))
        });
        let round_robin = |_| CachePadded::new(RoundRobin::new(backends.len()));
        Self {
            is_even: backends
                .iter()
                .all(|backend| backend.weight() == backends[0].weight().max(1)),
            method: balancing.method,
            sticky,
            round_robins: PerWorker::new(settings.context.workers, round_robin),
            backends,
        }
    }

    /// All backends, in the order of their addresses.
    pub(super) fn as_slice(&self) -> &[Backend] {
        &self.backends
    }

    /// Index of the backend that the cookie of a request names.
    pub(super) fn preferred(&self, headers: &HeaderMap, is_secure: bool) -> Option<usize> {
        self.sticky.as_ref()?.find(headers, is_secure)
    }

    /// Adds the cookie that keeps the client at this backend, if the upstream uses cookies and the client does not have
    /// it yet.
    pub(super) fn set_cookie(
        &self,
        backend: usize,
        selection: &Selection<'_>,
        headers: &mut HeaderMap,
    ) {
        if let Some(sticky) = &self.sticky
            && selection.preferred != Some(backend)
        {
            sticky.set(backend, headers, selection.caller.is_secure);
        }
    }

    /// Selects a backend for a request. Returns `None` if the request has to wait because backends are full.
    ///
    /// If all backends are ejected, one is tried anyway, since the failures may be over. If the active checks of all
    /// backends fail, none is tried.
    pub(super) fn select(&self, selection: &Selection<'_>) -> Result<Option<Selected>, Error> {
        let caller = &selection.caller;
        match self.backends.len() {
            0 => return Err(Error::NoBackend),
            1 if selection.tried.is_empty() && self.is_even => return self.select_only(caller),
            _ => {}
        }
        for is_last_resort in [false, true] {
            let mut candidates = self.candidates(selection, is_last_resort);
            while let Some(backend) = self.pick(&candidates, selection.preferred) {
                let health_state = self.backends[backend].health_state();
                if health_state.is_good() || health_state.admit(Instant::now(), is_last_resort) {
                    return Ok(self.enter(backend, caller));
                }
            }
            candidates.needs_room = false;
            if candidates.shares().next().is_some() {
                return Ok(None);
            }
        }
        Err(Error::NoHealthyBackend)
    }

    fn select_only(&self, caller: &Caller<'_>) -> Result<Option<Selected>, Error> {
        if self.backends[0].is_down() {
            return Err(Error::NoHealthyBackend);
        }
        Ok(self.enter(0, caller))
    }

    /// Returns the backends for which the request may wait, full or not. With a sticky balancer this is only one.
    pub(super) fn eligible(&self, selection: &Selection<'_>) -> Vec<usize> {
        let mut eligible = Vec::new();
        for is_last_resort in [false, true] {
            let mut candidates = self.candidates(selection, is_last_resort);
            candidates.needs_room = false;
            if self.method.is_sticky() {
                eligible.extend(self.pick(&candidates, selection.preferred));
            } else {
                eligible.extend(candidates.shares().map(|(backend, _)| backend));
            }
            if !eligible.is_empty() {
                break;
            }
        }
        eligible
    }

    fn candidates<'a>(
        &'a self,
        selection: &'a Selection<'_>,
        is_last_resort: bool,
    ) -> Candidates<'a> {
        let worker = selection.caller.worker;
        Candidates {
            backends: &self.backends,
            worker,
            client: selection.caller.client,
            round_robin: &self.round_robins[worker],
            tried: &selection.tried,
            is_even: self.is_even,
            is_last_resort,
            needs_room: !self.method.is_sticky(),
        }
    }

    fn pick(&self, candidates: &Candidates<'_>, preferred: Option<usize>) -> Option<usize> {
        match preferred.filter(|backend| candidates.may_keep(*backend, Instant::now())) {
            Some(backend) => Some(backend),
            None => pick(self.method, candidates),
        }
    }

    /// Counts a request at this backend. Returns `None` if the backend is full, or if the client has its share there.
    pub(super) fn enter(&self, backend: usize, caller: &Caller<'_>) -> Option<Selected> {
        let in_flight = self.backends[backend].enter(caller.worker, caller.share)?;
        Some(Selected { backend, in_flight })
    }

    /// `true` if there is more than one backend. A single backend is never ejected, and is used unless its check fails.
    pub(super) fn has_others(&self) -> bool {
        self.backends.len() > 1
    }

    /// Counts a failed attempt of this worker at a backend. Whether the backend is at fault is recorded on its own.
    pub(super) fn count_failure(&self, backend: usize, worker: usize, error: &Error) {
        self.backends[backend].count_failure(worker, error);
    }

    /// Counts a request that is sent again after an attempt of this worker has failed at a backend.
    pub(super) fn count_retry(&self, backend: usize, worker: usize) {
        self.backends[backend].lane(worker).figures().retried();
    }

    /// Records that a backend has failed a request.
    pub(super) fn record_failure(&self, backend: usize) {
        if self.has_others() {
            self.backends[backend].record_failure();
        }
    }

    /// Records that a backend has served a request.
    pub(super) fn record_success(&self, backend: usize) {
        self.backends[backend].record_success();
    }
}
