//! From the sites' `dns` settings to what proves their names.

use std::sync::Arc;

use super::Error;
use crate::acme::Solver;
use crate::certs::challenge::{
    Cloudflare, Dns01Solver, DnsMeans, DnsOptions, DnsProvider, ExecHook, PersistSolver,
    Propagation, Rfc2136,
};
use crate::certs::{Resolver, Secret};
use crate::config::SiteConfig;
use crate::name::NameMap;
use crate::tasks::Tasks;

/// Each site with its solver, if it has one. `tasks` removes records when they are no longer needed.
pub(super) fn solvers(
    sites: &[SiteConfig],
    resolver: &Arc<Resolver>,
    tasks: &Tasks,
) -> Result<NameMap<Option<Arc<dyn Solver>>>, Error> {
    let mut known: Vec<(&DnsOptions, Arc<dyn Solver>)> = Vec::new();
    let mut solvers = NameMap::new();
    for site in sites {
        let Some(options) = &site.dns else {
            for pattern in site.patterns() {
                solvers.insert(pattern.clone(), None);
            }
            continue;
        };
        // Sites with the same settings share the turn of their hook.
        let same = known.iter().find(|(known, _)| *known == options);
        let solver = match same {
            Some((_, solver)) => Arc::clone(solver),
            None => {
                let solver = solver(options, sites, (resolver, tasks))?;
                known.push((options, Arc::clone(&solver)));
                solver
            }
        };
        for pattern in site.patterns() {
            solvers.insert(pattern.clone(), Some(Arc::clone(&solver)));
        }
    }
    Ok(solvers)
}

/// The same with only those sites whose records the operator sets.
pub(super) fn persistent_solvers(sites: &[SiteConfig]) -> NameMap<Option<Arc<dyn Solver>>> {
    let mut solvers: NameMap<Option<Arc<dyn Solver>>> = NameMap::new();
    for site in sites {
        let means = site.dns.as_ref().map(|options| &options.means);
        let is_persistent = matches!(means, Some(DnsMeans::Persist));
        for pattern in site.patterns() {
            let solver = is_persistent.then(|| Arc::new(PersistSolver) as _);
            solvers.insert(pattern.clone(), solver);
        }
    }
    solvers
}

fn solver(
    options: &DnsOptions,
    sites: &[SiteConfig],
    (resolver, tasks): (&Arc<Resolver>, &Tasks),
) -> Result<Arc<dyn Solver>, Error> {
    let provider: Arc<dyn DnsProvider> = match &options.means {
        DnsMeans::Persist => return Ok(Arc::new(PersistSolver)),
        DnsMeans::Exec(program) => Arc::new(ExecHook::new(program.clone(), variables(sites))),
        DnsMeans::Rfc2136(update) => Arc::new(Rfc2136::new(update)?),
        DnsMeans::Cloudflare(api) => Arc::new(Cloudflare::new(api)?),
    };
    let propagation = Propagation::new(Arc::clone(resolver), options);
    Ok(Arc::new(Dns01Solver::new(
        provider,
        propagation,
        tasks.clone(),
    )))
}

/// The environment variables that hold secrets of any site.
fn variables(sites: &[SiteConfig]) -> Vec<String> {
    let means = sites
        .iter()
        .filter_map(|site| Some(&site.dns.as_ref()?.means));
    let secrets = means.filter_map(|means| match means {
        DnsMeans::Rfc2136(update) => Some(&update.key),
        DnsMeans::Cloudflare(api) => Some(&api.token),
        DnsMeans::Exec(_) | DnsMeans::Persist => None,
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
    async fn other_names_of_a_site_are_proved_as_its_first_one() {
        let text = "storage = \"file:/data\"\n[sites.\"*.example.org\"]\nupstream = \"3000\"\n\
                    aliases = [\"example.net\", \"*.example.net\"]\ndns = \"persist\"\n\
                    [sites.\"www.example.net\"]\nupstream = \"3000\"\n";
        let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default());
        let sites = config.unwrap().sites;
        let resolver = Arc::new(Resolver::new(ResolverOptions::default()));
        let running = solvers(&sites, &resolver, &Tasks::new()).unwrap();
        for solvers in [running, persistent_solvers(&sites)] {
            for (name, is_proved) in [
                ("a.example.org", true),
                ("example.net", true),
                ("a.example.net", true),
                ("www.example.net", false),
            ] {
                let solver = solvers.lookup(name).and_then(Option::as_ref);
                assert_eq!(solver.is_some(), is_proved, "{name}");
            }
        }
    }
}
