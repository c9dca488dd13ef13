//! State of backends that is carried over a reload, or over a change in DNS.

use std::sync::Arc;

use super::health_check::HealthCheck;
use super::settings::UpstreamSettings;
use crate::per_worker::{CachePadded, PerWorker};
use crate::upstream::address::Address;
use crate::upstream::backend::{Backend, HealthState};
use crate::upstream::connection::Pool;
use crate::upstream::options::Balancing;

/// A backend from before, with the settings of its upstream.
#[derive(Debug)]
pub(super) struct PreviousBackend {
    backend: Backend,
    settings: Arc<UpstreamSettings>,
}

impl PreviousBackend {
    /// All `backends` of an upstream with these settings.
    pub(super) fn all(settings: &Arc<UpstreamSettings>, backends: Vec<Backend>) -> Vec<Self> {
        let previous = |backend| Self {
            backend,
            settings: Arc::clone(settings),
        };
        backends.into_iter().map(previous).collect()
    }
}

/// Makes the backend at `address`, with the state that previous backends at the same address have.
///
/// Health is kept where it is watched in the same way, connections and requests in flight where the settings of connections
/// are the same.
pub(super) fn carry_over(
    previous: &[PreviousBackend],
    address: Address,
    settings: &Arc<UpstreamSettings>,
) -> Backend {
    let balancing = &settings.options.balancing;
    let found = || {
        previous
            .iter()
            .filter(|it| *it.backend.address() == address)
    };
    let connects_alike = |it: &&PreviousBackend| it.settings.connects_like(settings, &address);
    let is_watched_alike =
        |it: &&PreviousBackend| is_watched_alike(&it.settings.options.balancing, balancing);
    let kept = found().filter(connects_alike).find(is_watched_alike);
    let kept = kept.map(|it| Arc::clone(it.backend.health_state()));
    let health_state = kept.unwrap_or_else(|| {
        let health_state = Arc::new(CachePadded::new(match found().next() {
            Some(it) => it.backend.health_state().with_rules(balancing),
            None => HealthState::new(balancing),
        }));
        HealthCheck::start(&address, &health_state, settings);
        health_state
    });
    match found().find(connects_alike) {
        Some(it) => it.backend.with_health(health_state),
        None => {
            let (timeout, context) = (settings.options.idle_timeout, &settings.context);
            let pools = PerWorker::new(context.workers, |_| {
                Pool::new(timeout, context.tasks.clone())
            });
            Backend::new(address, pools, health_state)
        }
    }
}

/// `true` if both watch health in the same way.
fn is_watched_alike(one: &Balancing, other: &Balancing) -> bool {
    one.health == other.health
        && one.max_fails == other.max_fails
        && one.eject_time == other.eject_time
        && one.slow_start == other.slow_start
}
