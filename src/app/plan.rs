//! What one configuration makes of the proxy, built whole before any of it comes into effect.

use std::net::SocketAddr;

use super::file_pairs::FilePairs;
use super::front::Listeners;
use super::grounds::Grounds;
use super::routing::Routing;
use super::signing::Signing;
use super::{Error, sites};
use crate::config::Config;
use crate::proxy::AccessLog;
use crate::upstream::{SystemRoots, UpstreamContext};

/// What a configuration says, and what was made of it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) means: UpstreamContext,
    pub(super) routing: Routing,
    pub(super) signing: Signing,
    pub(super) access_log: Option<AccessLog>,
}

/// A plan with what is handed over when it comes into effect. Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) plan: Plan,
    pub(super) pairs: FilePairs,
    pub(super) listeners: Listeners,
}

/// What runs now, and where it listens.
pub(super) type Running<'a> = (&'a Plan, [SocketAddr; 2]);

impl Draft {
    /// Builds everything that `config` asks for. What it has in common with what runs is carried over. Blocks.
    pub(super) fn make(
        config: Config,
        grounds: &Grounds,
        system_roots: SystemRoots,
        running: Option<Running<'_>>,
    ) -> Result<Self, Error> {
        let former = running.map(|(plan, _)| plan);
        let before = running.map(|(plan, own)| (&plan.config, own));
        let nothing = Routing::default();
        let routing = former.map_or(&nothing, |former| &former.routing);
        let means = UpstreamContext {
            system_roots,
            ..means(&config, grounds, former)
        };
        let routing = Routing::build(&config.sites, &means, routing)?;
        let pairs = FilePairs::read(&config.sites)?;
        let signing = former.map(|former| (&former.config, &former.signing));
        let signing = Signing::build(&config, grounds, signing)?;
        let listeners = Listeners::open(&config, grounds.means.workers, before)?;
        let access_log = match former {
            Some(former) if former.config.access_log == config.access_log => {
                former.access_log.clone()
            }
            _ => open_access_log(&config, grounds)?,
        };
        Ok(Self {
            plan: Plan {
                config,
                means,
                routing,
                signing,
                access_log,
            },
            pairs,
            listeners,
        })
    }
}

/// What is known of the hosts of backends goes on, unless other servers are asked for them.
fn means(config: &Config, grounds: &Grounds, former: Option<&Plan>) -> UpstreamContext {
    let servers = &config.resolver.servers;
    match former {
        None => grounds.means.clone(),
        Some(former) if former.config.resolver.servers == *servers => former.means.clone(),
        Some(_) => UpstreamContext {
            resolver: sites::resolver(&config.resolver),
            ..grounds.means.clone()
        },
    }
}

fn open_access_log(config: &Config, grounds: &Grounds) -> Result<Option<AccessLog>, Error> {
    let Some(options) = &config.access_log else {
        return Ok(None);
    };
    let log = AccessLog::start(options, grounds.means.workers, &grounds.logs);
    log.map(Some).map_err(|source| Error::AccessLog {
        target: options.target.clone(),
        source,
    })
}
