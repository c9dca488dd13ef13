//! Checks of the backends of a site: whether each of them answers a request.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use crate::admin::{CheckResult, CheckStatus};
use crate::config::{SiteAction, SiteConfig};
use crate::printable::with_causes;
use crate::upstream::{self, Address, BackendProbe, HealthOptions, Upstream, UpstreamContext};

/// Time limit for the answer of one backend.
const LIMIT: Duration = Duration::from_secs(8);

/// Sends each backend of the site the request of its health check, if it has one. Else asks it for `/`: any status is an answer
/// then.
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
    let health = options.balancing.health.take();
    let request = health.clone();
    let request = request.unwrap_or_else(|| HealthOptions::new("/".to_owned()));
    let built = spawn_blocking(move || Upstream::new(addresses, options, &context)).await;
    let upstream = match built {
        Ok(Ok(upstream)) => upstream,
        Ok(Err(error)) => return vec![CheckResult::fail("backend", error)],
        Err(error) => return vec![CheckResult::fail("backend", error)],
    };
    let probes = match upstream.probe(&request, LIMIT).await {
        Ok(probes) => probes,
        Err(error) => return vec![CheckResult::fail("backend", failure(&error))],
    };
    let outcomes = probes
        .into_iter()
        .map(|probe| judged(&probe, health.as_ref()));
    let outcomes: Vec<_> = outcomes.collect();
    // The others serve the requests meanwhile.
    let status = if outcomes.iter().any(Result::is_ok) {
        CheckStatus::Warn
    } else {
        CheckStatus::Fail
    };
    let results = outcomes.into_iter().map(|outcome| match outcome {
        Ok(sentence) => CheckResult::ok("backend", sentence),
        Err(sentence) => CheckResult::new(status, "backend", sentence),
    });
    results.collect()
}

/// Returns what a backend has answered, as an error if it gets no requests then.
fn judged(probe: &BackendProbe, health: Option<&HealthOptions>) -> Result<String, String> {
    let address = &probe.address;
    let status = probe.answer.as_ref().map_err(failure)?;
    let shown = status.as_u16();
    match health {
        None => Ok(format!("{address} answers with status {shown}")),
        Some(health) if health.expect.has(*status) => Ok(format!(
            "{address} answers its health check with status {shown}"
        )),
        Some(_) => Err(format!(
            "{address} answers its health check with status {shown} and gets no requests therefore; see the log of the backend, or correct `health` in the Proxyfile"
        )),
    }
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
