//! Checks of the backends of a site: whether each of them answers a request.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use crate::admin::{CheckResult, CheckStatus};
use crate::config::{SiteAction, SiteConfig};
use crate::printable::with_causes;
use crate::upstream::{self, Address, Upstream, UpstreamContext};

/// Time limit for the answer of one backend.
const LIMIT: Duration = Duration::from_secs(8);

/// Asks each backend of the site for `/`. Any status is an answer.
pub(super) async fn answers(site: &SiteConfig, context: &UpstreamContext) -> Vec<CheckResult> {
    let mut known = HashSet::new();
    let upstreams = site.routes.iter().filter_map(|route| match &route.action {
        SiteAction::Upstream { addresses, options } => Some((addresses, options)),
        SiteAction::Redirect(_) | SiteAction::Respond(_) | SiteAction::Files(_) => None,
    });
    let upstreams = upstreams.filter(|upstream| known.insert(*upstream));
    let probes = upstreams.map(|(addresses, options)| probe(addresses, options, context));
    join_all(probes).await.into_iter().flatten().collect()
}

async fn probe(
    addresses: &[Address],
    options: &upstream::Options,
    context: &UpstreamContext,
) -> Vec<CheckResult> {
    let (addresses, context) = (addresses.to_vec(), context.clone());
    let mut options = options.clone();
    // One check now, and none later.
    options.balancing.health = None;
    let built = spawn_blocking(move || Upstream::new(addresses, options, &context)).await;
    let upstream = match built {
        Ok(Ok(upstream)) => upstream,
        Ok(Err(error)) => return vec![CheckResult::fail("backend", error)],
        Err(error) => return vec![CheckResult::fail("backend", error)],
    };
    let probes = match upstream.probe(LIMIT).await {
        Ok(probes) => probes,
        Err(error) => return vec![CheckResult::fail("backend", failure(&error))],
    };
    let is_any_up = probes.iter().any(|probe| probe.answer.is_ok());
    let results = probes.into_iter().map(|probe| match probe.answer {
        Ok(status) => {
            let status = status.as_u16();
            CheckResult::ok(
                "backend",
                format!("{} answers with status {status}", probe.address),
            )
        }
        // The others serve the requests meanwhile.
        Err(error) => {
            let status = if is_any_up {
                CheckStatus::Warn
            } else {
                CheckStatus::Fail
            };
            CheckResult::new(status, "backend", failure(&error))
        }
    });
    results.collect()
}

fn failure(error: &upstream::Error) -> String {
    let sentence = if error.says_all() {
        error.to_string()
    } else {
        with_causes(error)
    };
    match error {
        upstream::Error::Connect { .. }
        | upstream::Error::ConnectTimeout { .. }
        | upstream::Error::ResponseTimeout { .. }
        | upstream::Error::Resolve { .. } => {
            format!("{sentence}; start it, or correct its address in the Proxyfile")
        }
        _ => sentence,
    }
}
