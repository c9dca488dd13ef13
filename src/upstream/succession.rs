//! What becomes of the backends of upstreams that others take the place of.

use std::sync::Arc;

use super::address::Address;
use super::backend::Backend;
use super::balance::Balancing;
use super::condition::Condition;
use super::group::Upstream;
use super::health::HealthCheck;
use super::means::Means;
use super::options::Options;
use super::pool::Pool;

/// A backend with what the `old` upstreams know of it.
pub(super) fn succeed(
    old: &[Arc<Upstream>],
    address: Address,
    options: &Options,
    means: &Means,
) -> Backend {
    let balancing = &options.balancing;
    let found: Vec<_> = old
        .iter()
        .flat_map(|upstream| {
            upstream
                .backends()
                .iter()
                .map(move |found| (upstream, found))
        })
        .filter(|(_, found)| *found.address() == address)
        .collect();
    let alike = |(upstream, _): &&(&Arc<Upstream>, &Backend)| is_alike(upstream.options(), options);
    let watched = |(upstream, found): &(&Arc<Upstream>, &Backend)| {
        let is_kept = is_watched_alike(&upstream.options().balancing, balancing);
        is_kept.then(|| Arc::clone(found.condition()))
    };
    let connected = found.iter().find(alike);
    let kept = found.iter().filter(alike).find_map(watched);
    let condition = kept.unwrap_or_else(|| {
        let condition = Arc::new(match found.first() {
            Some((_, found)) => found.condition().under(balancing),
            None => Condition::new(balancing),
        });
        HealthCheck::start(&address, &condition, options, means);
        condition
    });
    match connected {
        Some((_, found)) => found.again(condition),
        None => {
            let pool = |_| Pool::new(options.idle_timeout, means.tasks.clone());
            Backend::new(address, (0..means.workers.max(1)).map(pool), condition)
        }
    }
}

/// Whether connections that were made for the one may serve the other.
fn is_alike(one: &Options, other: &Options) -> bool {
    let bare = |options: &Options| Options {
        balancing: Box::default(),
        ..options.clone()
    };
    bare(one) == bare(other)
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
