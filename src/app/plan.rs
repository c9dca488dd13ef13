//! A plan: all that is built from one configuration, before any of it takes effect. Knows how to carry over what stays the same.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::certificates::{FilePairs, FormerSigning, Signing};
use super::listeners::{Bound, NewListeners};
use super::routing::Routing;
use super::shared_state::SharedState;
use super::{Error, sites};
use crate::config::{Config, SiteConfig};
use crate::proxy::AccessLog;
use crate::upstream::{SystemRoots, UpstreamContext};

/// A configuration, and what was built from it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) context: UpstreamContext,
    pub(super) routing: Routing,
    pub(super) signing: Signing,
    pub(super) access_log: Option<AccessLog>,
}

/// A plan that is not in effect yet, with the parts that are handed over then. A draft that is dropped leaves no trace.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) plan: Plan,
    pub(super) pairs: FilePairs,
    pub(super) listeners: NewListeners,
}

/// The plan in effect, and the addresses that it listens on.
#[derive(Clone, Copy)]
pub(super) struct Running<'a> {
    pub(super) plan: &'a Plan,
    pub(super) addresses: [SocketAddr; 2],
}

impl Draft {
    /// Builds everything that `config` asks for, and carries over what is the same in the running plan. Blocks.
    pub(super) fn build(
        config: Config,
        shared: &SharedState,
        system_roots: SystemRoots,
        running: Option<Running<'_>>,
    ) -> Result<Self, Error> {
        let former = running.map(|running| running.plan);
        let context = UpstreamContext {
            system_roots,
            ..context(&config, shared, former)
        };
        let no_routing = Routing::default();
        let routing = former.map_or(&no_routing, |former| &former.routing);
        let routing = Routing::build(&config.sites, &context, routing)?;
        let pairs = FilePairs::read(&config.sites)?;
        let signing = former.map(|former| FormerSigning {
            config: &former.config,
            signing: &former.signing,
        });
        let signing = Signing::build(&config, shared, signing)?;
        let bound = running.map(|running| Bound {
            options: &running.plan.config.listen,
            addresses: running.addresses,
        });
        let listeners = NewListeners::bind(&config, shared.context.workers, bound)?;
        let access_log = match former {
            Some(former) if former.config.access_log == config.access_log => {
                former.access_log.clone()
            }
            _ => open_access_log(&config, shared)?,
        };
        Ok(Self {
            plan: Plan {
                config,
                context,
                routing,
                signing,
                access_log,
            },
            pairs,
            listeners,
        })
    }
}

/// Keeps the cached addresses of backends unless the DNS servers have changed.
fn context(config: &Config, shared: &SharedState, former: Option<&Plan>) -> UpstreamContext {
    let servers = &config.resolver.servers;
    match former {
        None => shared.context.clone(),
        Some(former) if former.config.resolver.servers == *servers => former.context.clone(),
        Some(_) => UpstreamContext {
            resolver: sites::resolver(&config.resolver),
            ..shared.context.clone()
        },
    }
}

fn open_access_log(config: &Config, shared: &SharedState) -> Result<Option<AccessLog>, Error> {
    let Some(options) = &config.access_log else {
        return Ok(None);
    };
    let log = AccessLog::start(options, shared.context.workers, &shared.logs);
    log.map(Some).map_err(|source| Error::AccessLog {
        target: options.target.clone(),
        source,
    })
}

/// Reads all files that the configuration names, to find out whether it can take effect. Blocks.
pub fn check(config: &Config) -> Result<(), Error> {
    check_files(config, &SystemRoots::default())?;
    FilePairs::read(&config.sites).map(drop)
}

/// Reads all files that the configuration names but certificates and their keys, which [`FilePairs::read`] checks.
pub(super) fn check_files(config: &Config, system: &SystemRoots) -> Result<(), Error> {
    let errors = config.check_files(system);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Error::Files(errors))
    }
}

/// Numbers of sites that differ between two configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Sites that only the new configuration has.
    pub added: usize,
    /// Sites that only the former configuration has.
    pub removed: usize,
    /// Sites with other settings than before.
    pub changed: usize,
}

impl Changes {
    pub(super) fn between(before: &[SiteConfig], after: &[SiteConfig]) -> Self {
        let before: HashMap<_, _> = before.iter().map(|site| (&site.pattern, site)).collect();
        let known = after
            .iter()
            .filter_map(|site| Some((*before.get(&site.pattern)?, site)));
        let (mut stayed, mut changed) = (0, 0);
        for (former, site) in known {
            stayed += 1;
            changed += usize::from(former != site);
        }
        Self {
            added: after.len() - stayed,
            removed: before.len() - stayed,
            changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Flags};

    fn sites(sites: &str) -> Vec<SiteConfig> {
        let text = format!("storage = \"file:/data\"\n[sites]\n{sites}");
        let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
        config.unwrap().sites
    }

    #[test]
    fn sites_are_compared_by_name_in_whatever_order() {
        let before = sites("\"a.test\" = \"1\"\n\"b.test\" = \"1\"\n\"c.test\" = \"1\"\n");
        let after = sites("\"d.test\" = \"1\"\n\"c.test\" = \"2\"\n\"a.test\" = \"1\"\n");
        let changes = Changes::between(&before, &after);
        let (added, removed, changed) = (1, 1, 1);
        assert_eq!(
            changes,
            Changes {
                added,
                removed,
                changed
            }
        );
        assert_eq!(Changes::between(&after, &after), Changes::default());
    }
}
