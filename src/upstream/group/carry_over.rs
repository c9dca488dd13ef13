//! State that backends keep across a reload or a change in DNS.

use std::sync::Arc;

use super::health_check::HealthCheck;
use super::settings::UpstreamSettings;
use crate::per_worker::{CachePadded, PerWorker};
use crate::upstream::address::Address;
use crate::upstream::backend::{Backend, HealthState};
use crate::upstream::connection::Pool;
use crate::upstream::options::BalanceOptions;

/// A backend from before the change, with the settings of its upstream.
#[derive(Debug)]
pub(super) struct PreviousBackend {
    backend: Backend,
    settings: Arc<UpstreamSettings>,
}

impl PreviousBackend {
    /// Wraps all `backends` of an upstream with these settings.
    pub(super) fn all(settings: &Arc<UpstreamSettings>, backends: Vec<Backend>) -> Vec<Self> {
        let previous = |backend| Self {
            backend,
            settings: Arc::clone(settings),
        };
        backends.into_iter().map(previous).collect()
    }
}

/// Returns the backend at `address`, with state from previous backends at the same address.
///
/// Health is shared with a previous backend whose health settings are also equal, and copied from any other.
/// Connections and requests in flight are shared if the connection settings are equal. Needs a runtime if the backend
/// is checked.
pub(super) fn carry_over(
    previous: &[PreviousBackend],
    address: Address,
    settings: &Arc<UpstreamSettings>,
) -> Backend {
    let balancing = &settings.options.balancing;
    let at_address = || {
        previous
            .iter()
            .filter(|old| *old.backend.address() == address)
    };
    let shares_connections =
        |old: &&PreviousBackend| old.settings.shares_connections(settings, &address);
    let shares_health =
        |old: &&PreviousBackend| has_same_health_rules(&old.settings.options.balancing, balancing);
    let kept = at_address()
        .filter(shares_connections)
        .find(shares_health)
        .map(|old| Arc::clone(old.backend.health_state()));
    let health_state = kept.unwrap_or_else(|| {
        let health_state = Arc::new(CachePadded::new(match at_address().next() {
            Some(old) => old.backend.health_state().with_rules(balancing),
            None => HealthState::new(balancing),
        }));
        HealthCheck::start(&address, &health_state, settings);
        health_state
    });
    match at_address().find(shares_connections) {
        Some(old) => old.backend.with_health(health_state),
        None => {
            let (timeout, context) = (settings.options.idle_timeout, &settings.context);
            let pools = PerWorker::new(context.workers, |_| {
                Pool::new(timeout, context.tasks.clone())
            });
            Backend::new(address, pools, health_state)
        }
    }
}

/// `true` if both have the same settings for health checks, ejection and slow start.
fn has_same_health_rules(one: &BalanceOptions, other: &BalanceOptions) -> bool {
    one.health == other.health
        && one.max_fails == other.max_fails
        && one.eject_time == other.eject_time
        && one.slow_start == other.slow_start
}
