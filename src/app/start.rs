//! The first parts of a running proxy: what is opened, and what is started from it.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::Error;
use super::admin_endpoints::AdminEndpoints;
use super::built_config::BuiltConfig;
use super::listeners::{ListenerPlan, ServerState, acceptor_rules};
use super::problems::{ProblemWatch, WatchedConfig};
use super::process::privileges;
use super::shared_state::SharedState;
use super::upgrade::Inherited;
use super::workers::Workers;
use crate::admin::{self, ListenerStatus};
use crate::certs::{self, CertManager, Clock, ManagerParts, Ruleset};
use crate::config::Config;
use crate::server::PredecessorLink;
use crate::tls;

/// The first part of a start: all that is opened, with the privileges that it takes.
pub(super) struct Opened {
    pub(super) shared: SharedState,
    pub(super) admin: AdminEndpoints,
    pub(super) plan: ListenerPlan,
    /// The link to the process that this one takes over from.
    pub(super) http3_link: Option<PredecessorLink>,
}

impl Opened {
    /// Listens before anything else if privileges are dropped: only they may open low ports. Everything else is opened without
    /// them, so that a reload can open it again.
    pub(super) fn open(
        config: &Config,
        inherited: Inherited,
        max_connections: usize,
    ) -> Result<Self, Error> {
        inherited.note_unusable();
        let Inherited {
            sockets: mut passed,
            admin,
            http3_link,
            ..
        } = inherited;
        let workers = Workers::count();
        let listen = |passed: &mut _| ListenerPlan::take_or_bind(&config.listen, workers, passed);
        let early = match &config.user {
            Some(_) => Some(listen(&mut passed)?),
            None => None,
        };
        privileges::drop_to(config)?;
        let shared = SharedState::open(config, max_connections)?;
        // A proxy that runs already is found out by its admin socket, before its ports are.
        let admin = AdminEndpoints::open(config, admin, &mut passed)?;
        let plan = match early {
            Some(plan) => plan,
            None => listen(&mut passed)?,
        };
        passed.close_unwanted();
        Ok(Self {
            shared,
            admin,
            plan,
            http3_link,
        })
    }
}

pub(super) fn first_acceptor(
    shared: &SharedState,
    built: &BuiltConfig,
    manager: &CertManager,
) -> Result<tls::Acceptor, Error> {
    Ok(tls::Acceptor::new(tls::AcceptorParts {
        cache: Arc::clone(&shared.cache),
        manager: manager.clone(),
        challenges: Arc::clone(&shared.challenges),
        rules: acceptor_rules(built.listen(), &built.routing.tls),
    })?)
}

/// Returns the sources of statistics.
pub(super) fn stats(
    shared: &SharedState,
    state: &ServerState,
    max_connections: usize,
    manager: &CertManager,
    listeners: &Arc<ArcSwap<Vec<ListenerStatus>>>,
) -> admin::Stats {
    admin::Stats {
        started: Instant::now(),
        started_at: SystemTime::now(),
        permits: Arc::clone(&state.permits),
        max_connections,
        current_router: Arc::clone(&state.current_router),
        listeners: Arc::clone(listeners),
        refusals: shared.refusals.clone(),
        figures: shared.figures.clone(),
        dns_updates: shared.dns_updates.clone(),
        reloads: shared.reloads.clone(),
        spans: shared.spans.clone(),
        manager: manager.clone(),
    }
}

pub(super) fn watch_problems(
    shared: &SharedState,
    config: &Config,
    manager: &CertManager,
    watched: WatchedConfig,
) -> ProblemWatch {
    let directory = config.storage.directory();
    ProblemWatch::start(watched, manager.clone(), directory, &shared.background)
}

pub(super) fn start_manager(shared: &SharedState, ruleset: Ruleset) -> CertManager {
    certs::start(ManagerParts {
        ruleset,
        records: shared.certificate_records(),
        cache: Arc::clone(&shared.cache),
        clock: Clock::system(),
        tasks: shared.background.clone(),
    })
}
