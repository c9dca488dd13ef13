//! The life of one running proxy: start, reload and stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::info;

use super::admin_endpoints::AdminEndpoints;
use super::certificates::ServedPairs;
use super::listeners::{Listeners, ServerState, acceptor_rules};
use super::plan::{Changes, Draft, Plan, Running, check_files};
use super::shared_state::SharedState;
use super::workers::Workers;
use super::{Error, file_limit};
use crate::admin;
use crate::certs::{self, CertManager, Clock, ManagerParts, Ruleset};
use crate::config::{Config, ConfigFile};
use crate::proxy::CurrentRouter;
use crate::tasks::Tasks;
use crate::tls;
use crate::upstream::SystemRoots;

/// Time for DNS records to be removed when the process stops.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the last lines of the access log to be written.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

/// A running proxy, which accepts connections from the moment that it exists.
#[derive(Debug)]
pub struct App {
    shared: SharedState,
    plan: Arc<Plan>,
    manager: CertManager,
    pairs: ServedPairs,
    current_router: Arc<CurrentRouter>,
    listeners: Listeners,
    connections: Tasks,
    workers: Workers,
}

impl App {
    /// Builds everything that `config` asks for, and starts to accept connections last.
    pub async fn start(config: &Config) -> Result<Self, Error> {
        let max_connections = file_limit::raise(Workers::count());
        let shared = SharedState::open(config, max_connections)?;
        let admin = AdminEndpoints::open(config)?;
        let Draft {
            plan,
            pairs,
            listeners,
        } = Draft::build(config.clone(), &shared, SystemRoots::default(), None)?;
        plan.signing.open(config, None).await?;
        let pairs = pairs.serve(Arc::clone(&shared.cache), &shared.background);
        let manager = start_manager(&shared, plan.signing.rules());
        let acceptor = tls::Acceptor::new(tls::AcceptorParts {
            cache: Arc::clone(&shared.cache),
            manager: manager.clone(),
            challenges: Arc::clone(&shared.challenges),
            rules: acceptor_rules(config, &plan.routing),
        })?;
        let current_router = CurrentRouter::new(&plan.routing.router, shared.context.workers);
        current_router.replace(&plan.routing.router, plan.access_log.as_ref());
        let permits = Arc::new(Semaphore::new(max_connections));
        let stats = admin::Stats {
            started: Instant::now(),
            started_at: SystemTime::now(),
            permits: Arc::clone(&permits),
            max_connections,
            current_router: Arc::clone(&current_router),
            refusals: shared.refusals.clone(),
            manager: manager.clone(),
        };
        admin.serve(stats, &shared.background);
        let connections = Tasks::new();
        let state = ServerState {
            permits,
            connections: connections.clone(),
            tokens: Arc::clone(&shared.tokens),
            current_router: Arc::clone(&current_router),
            refusals: shared.refusals.clone(),
        };
        let workers = Workers::start().map_err(Error::Runtime)?;
        let runtimes = workers.runtimes();
        let listeners = Listeners::start(config, state, acceptor, listeners, runtimes);
        shared.context.own_addresses.set(listeners.addresses());
        let app = Self {
            shared,
            plan: Arc::new(plan),
            manager,
            pairs,
            current_router,
            listeners,
            connections,
            workers,
        };
        info!(http = %app.http(), https = %app.https(), sites = config.sites.len(), "listening");
        Ok(app)
    }

    /// Returns the bound address of plain HTTP.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.listeners.addresses()[0]
    }

    /// Returns the bound address of HTTPS.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        self.listeners.addresses()[1]
    }

    /// Returns the manager of certificates.
    #[must_use]
    pub fn manager(&self) -> &CertManager {
        &self.manager
    }

    /// Returns the configuration in effect.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.plan.config
    }

    /// Reads the configuration again and makes it take effect: all of it, or nothing if anything is wrong with it. What stays
    /// the same is carried over, running requests end as they began, and no connection is closed.
    ///
    /// If the future is dropped early, the proxy can only be stopped.
    pub async fn reload(&mut self, file: &ConfigFile) -> Result<Changes, Error> {
        let (shared, plan, file) = (self.shared.clone(), Arc::clone(&self.plan), file.clone());
        let addresses = self.listeners.addresses();
        let drafting = spawn_blocking(move || {
            let config = file.read_again(&plan.config)?;
            let system = SystemRoots::default();
            check_files(&config, &system)?;
            let running = Running {
                plan: &plan,
                addresses,
            };
            Draft::build(config, &shared, system, Some(running))
        });
        let draft = drafting.await.map_err(Error::Abandoned)??;
        let (signing, config) = (&draft.plan.signing, &draft.plan.config);
        signing.open(config, Some(&self.plan.config)).await?;
        let acceptor = self.listeners.next_acceptor(config, &draft.plan.routing)?;
        Ok(self.apply(draft, acceptor).await)
    }

    /// Makes a draft take effect. No step of it can fail. Certificates come first, then the requests for them.
    async fn apply(&mut self, draft: Draft, acceptor: tls::Acceptor) -> Changes {
        let Draft {
            plan,
            pairs,
            listeners,
        } = draft;
        self.pairs.replace(pairs).await;
        self.manager.reload(plan.signing.rules());
        self.listeners.apply(&plan.config, acceptor, listeners);
        let own_addresses = &self.shared.context.own_addresses;
        own_addresses.set(self.listeners.addresses());
        self.current_router
            .replace(&plan.routing.router, plan.access_log.as_ref());
        let changes = Changes::between(&self.plan.config.sites, &plan.config.sites);
        self.plan = Arc::new(plan);
        changes
    }

    /// Opens the file of the access log again, after it was moved.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.plan.access_log {
            log.reopen();
        }
    }

    /// Accepts no more connections, waits for the open ones within the drain time-out, and returns the number that were cut.
    /// Orders are left as they stand and resumed at the next start.
    pub async fn stop(self) -> usize {
        let SharedState {
            context,
            background,
            records,
            logs,
            ..
        } = self.shared;
        background.stop();
        records.stop();
        let drain_timeout = self.plan.config.limits.drain_timeout;
        let cut = self.connections.drain(drain_timeout).await;
        context.tasks.drain(Duration::ZERO).await;
        background.drain(Duration::ZERO).await;
        records.drain(RECORDS_TIMEOUT).await;
        self.workers.halt();
        // Last, or requests would end after their log.
        logs.drain(LOG_TIMEOUT).await;
        cut
    }
}

fn start_manager(shared: &SharedState, ruleset: Ruleset) -> CertManager {
    certs::start(ManagerParts {
        ruleset,
        records: shared.certificate_records(),
        cache: Arc::clone(&shared.cache),
        clock: Clock::system(),
        tasks: shared.background.clone(),
    })
}
