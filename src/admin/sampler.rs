//! Takes samples of the figures of sites and backends at intervals, so that the status can tell what has happened in the
//! last minutes.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::named_upstream::upstreams;
use crate::figures::SAMPLE_EVERY;
use crate::proxy::{CurrentRouter, Router};
use crate::tasks::Shutdown;

/// Takes samples until the process stops.
pub async fn sample_figures(current_router: Arc<CurrentRouter>, shutdown: Shutdown) {
    let sampling = async {
        loop {
            sleep(SAMPLE_EVERY).await;
            sample(&current_router.snapshot(), Instant::now());
        }
    };
    tokio::select! {
        () = sampling => {}
        () = shutdown.requested() => {}
    }
}

fn sample(router: &Router, now: Instant) {
    for site in router.sites() {
        site.figures.sample(now);
    }
    for named in upstreams(router) {
        named.upstream.sample(now);
    }
}
