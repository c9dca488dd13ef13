//! All parts that are built from one configuration, before any of them takes effect. Carries over the parts that stay the
//! same.

use super::Error;
use super::certificates::{FilePairs, FormerIssuance, IssuanceSetup};
use super::listeners::{BoundListeners, ListenConfig, ListenerPlan};
use super::page_endpoint::PagePlan;
use super::problems::WatchedConfig;
use super::routing::Routing;
use super::shared_state::{SharedState, backend_resolver};
use crate::config::Config;
use crate::listener_names::ListenerNames;
use crate::proxy::{AccessLog, RequestObserver};
use crate::traces::Tracer;
use crate::upstream::{SystemRoots, UpstreamContext};

/// A configuration, and what was built from it.
#[derive(Debug)]
pub(super) struct BuiltConfig {
    pub(super) config: Config,
    pub(super) listener_names: ListenerNames,
    pub(super) context: UpstreamContext,
    pub(super) routing: Routing,
    pub(super) issuance: IssuanceSetup,
    pub(super) access_log: Option<AccessLog>,
    pub(super) tracer: Option<Tracer>,
}

/// A built configuration that is not in effect yet, with the parts that are handed over then. A draft that is dropped leaves no trace.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) built: BuiltConfig,
    pub(super) pairs: FilePairs,
    pub(super) listeners: ListenerPlan,
    pub(super) watched: WatchedConfig,
    pub(super) page: PagePlan,
}

/// Start of a draft.
#[derive(Debug)]
pub(super) enum Basis<'a> {
    /// The listeners of a proxy that has just been started.
    First(ListenerPlan),
    /// The built configuration in effect, and the listeners that are open.
    Running {
        built: &'a BuiltConfig,
        listeners: &'a BoundListeners,
    },
}

impl BuiltConfig {
    /// Returns the observer of requests.
    pub(super) fn observer(&self) -> RequestObserver {
        RequestObserver::new(self.access_log.clone(), self.tracer.clone())
    }

    /// Returns the part that listeners are built from.
    pub(super) fn listen(&self) -> ListenConfig<'_> {
        ListenConfig {
            config: &self.config,
            names: &self.listener_names,
        }
    }
}

impl Draft {
    /// Builds everything that `config` asks for, and carries over what is the same in the running one. Blocks.
    pub(super) fn build(
        config: Config,
        shared: &SharedState,
        system_roots: SystemRoots,
        basis: Basis<'_>,
    ) -> Result<Self, Error> {
        let former = match &basis {
            Basis::First(_) => None,
            Basis::Running { built, .. } => Some(*built),
        };
        let context = UpstreamContext {
            system_roots,
            ..context(&config, shared, former)
        };
        let no_routing = Routing::default();
        let routing = former.map_or(&no_routing, |former| &former.routing);
        let no_names = ListenerNames::default();
        let names = former.map_or(&no_names, |former| &former.listener_names);
        let names = names.with(config.listener_names());
        let routing = Routing::build(&config.sites, &names, &context, routing)?;
        let pairs = FilePairs::read(&config.sites)?;
        let issuance = former.map(|former| FormerIssuance {
            config: &former.config,
            issuance: &former.issuance,
        });
        let issuance = IssuanceSetup::build(&config, shared, issuance)?;
        let (listeners, page) = match basis {
            // The page of a proxy that starts is opened with the admin socket.
            Basis::First(plan) => (plan, PagePlan::default()),
            Basis::Running { listeners, built } => (
                ListenerPlan::bind(&config.listen, shared.context.workers, listeners)?,
                PagePlan::bind(&config, &built.config)?,
            ),
        };
        let access_log = match former {
            Some(former) if former.config.access_log == config.access_log => {
                former.access_log.clone()
            }
            _ => open_access_log(&config, shared)?,
        };
        let tracer = match former {
            Some(former) if keeps_tracer(former, &config) => former.tracer.clone(),
            _ => start_tracer(&config, shared)?,
        };
        let upstreams = routing.watched_upstreams(&config.sites);
        let watched = WatchedConfig::new(config.on_problem.as_ref(), upstreams);
        let watched = watched.map_err(Error::ProblemReceiver)?;
        Ok(Self {
            watched,
            page,
            built: BuiltConfig {
                config,
                listener_names: names,
                context,
                routing,
                issuance,
                access_log,
                tracer,
            },
            pairs,
            listeners,
        })
    }
}

/// Keeps the cached addresses of backends unless the DNS servers have changed.
fn context(config: &Config, shared: &SharedState, former: Option<&BuiltConfig>) -> UpstreamContext {
    let servers = &config.resolver.servers;
    match former {
        None => shared.context.clone(),
        Some(former) if former.config.resolver.servers == *servers => former.context.clone(),
        Some(_) => UpstreamContext {
            resolver: backend_resolver(&config.resolver),
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

/// `true` if tracing stays as it is, also the file with the roots for the collector.
fn keeps_tracer(former: &BuiltConfig, config: &Config) -> bool {
    let options = config.tracing.as_ref();
    let both = options.zip(former.tracer.as_ref());
    former.config.tracing == config.tracing
        && both.is_none_or(|(options, tracer)| tracer.has_current_root(options))
}

fn start_tracer(config: &Config, shared: &SharedState) -> Result<Option<Tracer>, Error> {
    let Some(options) = &config.tracing else {
        return Ok(None);
    };
    let workers = shared.context.workers;
    let tracer = Tracer::start(options, workers, &shared.logs, &shared.spans);
    tracer.map(Some).map_err(Error::Tracing)
}

/// Reads all files that the configuration names, to find out whether it can take effect. Blocks.
pub fn check(config: &Config) -> Result<(), Error> {
    config.check_files(&SystemRoots::default())?;
    FilePairs::read(&config.sites).map(drop)
}
