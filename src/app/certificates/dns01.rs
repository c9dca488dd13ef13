//! The dns-01 solvers of the sites, built from their `dns` settings.

use std::sync::Arc;

use crate::app::Error;
use crate::app::shared_state::SharedState;
use crate::certs::challenge::{
    Cloudflare, CountedProvider, Dns01Solver, DnsMethod, DnsOptions, DnsProvider, ExecHook,
    Propagation, RecordLocks, Rfc2136, SiteDns,
};
use crate::certs::{Resolver, Secret};
use crate::config::SiteConfig;
use crate::name::NameMap;

/// Returns the solver of each site, or `None` for sites without dns-01. Records are remembered in storage until a task has
/// removed them.
pub(super) fn solvers(
    sites: &[SiteConfig],
    resolver: &Arc<Resolver>,
    shared: &SharedState,
) -> Result<NameMap<Option<SiteDns>>, Error> {
    let mut known: Vec<(&DnsOptions, SiteDns)> = Vec::new();
    let mut solvers = NameMap::new();
    let locks = RecordLocks::default();
    for site in sites {
        let Some(options) = &site.dns else {
            for pattern in site.patterns() {
                solvers.insert(pattern.clone(), None);
            }
            continue;
        };
        // Sites with the same settings share a solver, so that their hook runs once at a time.
        let same = known.iter().find(|(known, _)| *known == options);
        let solver = match same {
            Some((_, solver)) => solver.clone(),
            None => {
                let solver = match provider(&options.method, sites)? {
                    Some(provider) => {
                        let propagation =
                            Propagation::new(Arc::clone(resolver), &options.propagation);
                        let provider = Arc::new(CountedProvider {
                            provider,
                            updates: shared.dns_updates.clone(),
                        });
                        let tasks = shared.records.clone();
                        let solver = Dns01Solver::new(provider, propagation, tasks);
                        let solver = solver.with_locks(locks.clone());
                        SiteDns::Records(solver.with_journal(Arc::clone(&shared.storage)))
                    }
                    None => SiteDns::Persistent,
                };
                known.push((options, solver.clone()));
                solver
            }
        };
        for pattern in site.patterns() {
            solvers.insert(pattern.clone(), Some(solver.clone()));
        }
    }
    Ok(solvers)
}

/// Returns solvers only for sites whose records the operator sets.
pub(super) fn persistent_solvers(sites: &[SiteConfig]) -> NameMap<Option<SiteDns>> {
    let mut solvers = NameMap::new();
    for site in sites {
        let method = site.dns.as_ref().map(|options| &options.method);
        let is_persistent = matches!(method, Some(DnsMethod::Persist));
        for pattern in site.patterns() {
            let solver = is_persistent.then_some(SiteDns::Persistent);
            solvers.insert(pattern.clone(), solver);
        }
    }
    solvers
}

/// Returns the provider that sets the records, or `None` if the operator does.
fn provider(
    method: &DnsMethod,
    sites: &[SiteConfig],
) -> Result<Option<Arc<dyn DnsProvider>>, Error> {
    Ok(Some(match method {
        DnsMethod::Persist => return Ok(None),
        DnsMethod::Exec(program) => Arc::new(ExecHook::new(program.clone(), variables(sites))),
        DnsMethod::Rfc2136(update) => Arc::new(Rfc2136::new(update)?),
        DnsMethod::Cloudflare(api) => Arc::new(Cloudflare::new(api)?),
    }))
}

/// Returns the environment variables that hold secrets of any site.
fn variables(sites: &[SiteConfig]) -> Vec<String> {
    let methods = sites
        .iter()
        .filter_map(|site| Some(&site.dns.as_ref()?.method));
    let secrets = methods.filter_map(|method| match method {
        DnsMethod::Rfc2136(update) => Some(&update.key),
        DnsMethod::Cloudflare(api) => Some(&api.token),
        DnsMethod::Exec(_) | DnsMethod::Persist => None,
    });
    secrets
        .filter_map(Secret::variable)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::certs::ResolverOptions;
    use crate::config::{Config, Flags};

    #[tokio::test]
    async fn all_names_of_a_site_have_the_same_solver() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[sites.\"*.example.org\"]\nupstream = \"3000\"\n\
                    aliases = [\"example.net\", \"*.example.net\"]\ndns = \"persist\"\n\
                    [sites.\"www.example.net\"]\nupstream = \"3000\"\n";
        let flags = Flags {
            storage: Some(format!("file:{}", dir.path().display())),
            ..Flags::default()
        };
        let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &flags).unwrap();
        let sites = &config.sites;
        let resolver = Arc::new(Resolver::new(ResolverOptions::default()));
        let shared = SharedState::open(&config, 10).unwrap();
        let running = solvers(sites, &resolver, &shared).unwrap();
        for solvers in [running, persistent_solvers(sites)] {
            for (name, has_solver) in [
                ("a.example.org", true),
                ("example.net", true),
                ("a.example.net", true),
                ("www.example.net", false),
            ] {
                let solver = solvers.lookup(name).and_then(Option::as_ref);
                assert_eq!(solver.is_some(), has_solver, "{name}");
            }
        }
    }
}
