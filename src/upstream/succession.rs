//! What becomes of backends that others take the place of.

use std::sync::Arc;

use super::address::Address;
use super::backend::Backend;
use super::balance::Balancing;
use super::condition::Condition;
use super::group::Upstream;
use super::health::HealthCheck;
use super::pool::Pool;
use super::terms::Terms;

/// A backend that was there before, with the terms that it was used on.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) backend: Backend,
    pub(super) terms: Arc<Terms>,
}

impl Former {
    /// The backends of upstreams.
    pub(super) fn of(old: &[Arc<Upstream>]) -> Vec<Self> {
        let of_one = |upstream: &Arc<Upstream>| {
            let terms = Arc::clone(upstream.terms());
            Self::on(&terms, upstream.backends())
        };
        old.iter().flat_map(of_one).collect()
    }

    /// These backends.
    pub(super) fn on(terms: &Arc<Terms>, backends: Vec<Backend>) -> Vec<Self> {
        let former = |backend| Self {
            backend,
            terms: Arc::clone(terms),
        };
        backends.into_iter().map(former).collect()
    }
}

/// A backend with what is known of it from before.
pub(super) fn succeed(formers: &[Former], address: Address, terms: &Arc<Terms>) -> Backend {
    let balancing = &terms.options.balancing;
    let is_it = |former: &&Former| *former.backend.address() == address;
    let is_alike = |former: &&Former| former.terms.connect_like(terms, &address);
    let is_watched =
        |former: &&Former| is_watched_alike(&former.terms.options.balancing, balancing);
    let found = || formers.iter().filter(is_it);
    let condition = |former: &Former| Arc::clone(former.backend.condition());
    let kept = found().filter(is_alike).find(is_watched).map(condition);
    let condition = kept.unwrap_or_else(|| {
        let condition = Arc::new(match found().next() {
            Some(former) => former.backend.condition().under(balancing),
            None => Condition::new(balancing),
        });
        HealthCheck::start(&address, &condition, terms);
        condition
    });
    match found().find(is_alike) {
        Some(former) => former.backend.again(condition),
        None => {
            let (timeout, means) = (terms.options.idle_timeout, &terms.means);
            let pool = |_| Pool::new(timeout, means.tasks.clone());
            Backend::new(address, (0..means.workers.max(1)).map(pool), condition)
        }
    }
}

/// Whether health is watched in the same way.
fn is_watched_alike(one: &Balancing, other: &Balancing) -> bool {
    let rules = |balancing: &Balancing| {
        (
            balancing.max_fails,
            balancing.eject_time,
            balancing.slow_start,
        )
    };
    one.health == other.health && rules(one) == rules(other)
}
