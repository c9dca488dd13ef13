//! One running proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::info;

use super::changes::Changes;
use super::check::check_files;
use super::control::Control;
use super::file_pairs::ServedPairs;
use super::front::{Front, Listeners, Premises, acceptor_rules};
use super::grounds::Grounds;
use super::plan::{Draft, Plan};
use super::workers::Workers;
use super::{Error, file_limit};
use crate::admin;
use crate::certs::{self, CertManager, Clock, ManagerParts, Ruleset};
use crate::config::{Config, ConfigFile};
use crate::proxy::CurrentRouter;
use crate::tasks::Tasks;
use crate::tls;
use crate::upstream::SystemRoots;

/// How long the end of the process waits for DNS records to be removed.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last lines of the access log may take to be written.
const LAST_LINES: Duration = Duration::from_secs(5);

/// A running proxy: both doors are open when it exists.
#[derive(Debug)]
pub struct App {
    grounds: Grounds,
    plan: Arc<Plan>,
    manager: CertManager,
    pairs: ServedPairs,
    current_router: Arc<CurrentRouter>,
    front: Front,
    connections: Tasks,
    workers: Workers,
}

impl App {
    /// Builds everything from the ground up, opens the doors last, and then sees to the certificates.
    pub async fn start(config: &Config) -> Result<Self, Error> {
        let fitting = file_limit::raise(Workers::count());
        let grounds = Grounds::open(config, fitting)?;
        let control = Control::open(config)?;
        let Draft {
            plan,
            pairs,
            listeners,
        } = Draft::make(config.clone(), &grounds, SystemRoots::default(), None)?;
        plan.signing.open(config, None).await?;
        let pairs = pairs.serve(Arc::clone(&grounds.cache), &grounds.background);
        let manager = start_manager(&grounds, plan.signing.rules());
        let acceptor = tls::Acceptor::new(tls::AcceptorParts {
            cache: Arc::clone(&grounds.cache),
            manager: manager.clone(),
            challenges: Arc::clone(&grounds.challenges),
            rules: acceptor_rules(config, &plan.routing),
        })?;
        let current_router = CurrentRouter::new(&plan.routing.router, grounds.means.workers);
        current_router.replace(&plan.routing.router, plan.access_log.as_ref());
        let places = Arc::new(Semaphore::new(fitting));
        let vitals = admin::Vitals {
            began: (Instant::now(), SystemTime::now()),
            places: Arc::clone(&places),
            capacity: fitting,
            current_router: Arc::clone(&current_router),
            refusals: grounds.refusals.clone(),
            manager: manager.clone(),
        };
        control.serve(vitals, &grounds.background);
        let connections = Tasks::new();
        let premises = Premises {
            permits: places,
            connections: connections.clone(),
            tokens: Arc::clone(&grounds.tokens),
            current_router: Arc::clone(&current_router),
            refusals: grounds.refusals.clone(),
        };
        let workers = Workers::start().map_err(Error::Runtime)?;
        let Listeners { http, https } = listeners;
        let doors = (
            http.unwrap_or_default(),
            https.unwrap_or_default(),
            workers.runtimes(),
        );
        let front = Front::open(config, premises, acceptor, doors);
        grounds.means.own_addresses.set(front.addresses());
        let app = Self {
            grounds,
            plan: Arc::new(plan),
            manager,
            pairs,
            current_router,
            front,
            connections,
            workers,
        };
        info!(http = %app.http(), https = %app.https(), sites = config.sites.len(), "listening");
        Ok(app)
    }

    /// Where plain HTTP is served.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.front.addresses()[0]
    }

    /// Where HTTPS is served.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        self.front.addresses()[1]
    }

    /// The certificates.
    #[must_use]
    pub fn manager(&self) -> &CertManager {
        &self.manager
    }

    /// The configuration that is in effect.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.plan.config
    }

    /// Reads the configuration again and brings it into effect: all of it, or nothing if anything is wrong with it.
    /// What is the same as before goes on as it is, requests under way end as they began, and no connection is closed.
    ///
    /// Dropping the future leaves the proxy fit to be stopped and no more.
    pub async fn reload(&mut self, file: &ConfigFile) -> Result<Changes, Error> {
        let (grounds, running, file) = (self.grounds.clone(), Arc::clone(&self.plan), file.clone());
        let own = self.front.addresses();
        let drafting = spawn_blocking(move || {
            let config = file.read_again(&running.config)?;
            let system = SystemRoots::default();
            check_files(&config, &system)?;
            Draft::make(config, &grounds, system, Some((&running, own)))
        });
        let draft = drafting.await.map_err(Error::Abandoned)??;
        let (signing, config) = (&draft.plan.signing, &draft.plan.config);
        signing.open(config, Some(&self.plan.config)).await?;
        let acceptor = self.front.next_acceptor(config, &draft.plan.routing)?;
        Ok(self.change(draft, acceptor).await)
    }

    /// Nothing can fail any more. Certificates come first, then the requests for them.
    async fn change(&mut self, draft: Draft, acceptor: tls::Acceptor) -> Changes {
        let Draft {
            plan,
            pairs,
            listeners,
        } = draft;
        self.pairs.replace(pairs).await;
        self.manager.reload(plan.signing.rules());
        self.front.change(&plan.config, acceptor, listeners);
        let own_addresses = &self.grounds.means.own_addresses;
        own_addresses.set(self.front.addresses());
        self.current_router
            .replace(&plan.routing.router, plan.access_log.as_ref());
        let changes = Changes::between(&self.plan.config.sites, &plan.config.sites);
        self.plan = Arc::new(plan);
        changes
    }

    /// Opens the access log's file anew, after it was moved.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.plan.access_log {
            log.reopen();
        }
    }

    /// Takes nothing new, lets what runs finish within the drain's time, and returns how many
    /// connections were cut. Orders are abandoned: they are taken up at the next start.
    pub async fn stop(self) -> usize {
        let Grounds {
            means,
            background,
            records,
            logs,
            ..
        } = self.grounds;
        background.stop();
        records.stop();
        let drain_timeout = self.plan.config.limits.drain_timeout;
        let cut = self.connections.drain(drain_timeout).await;
        means.tasks.drain(Duration::ZERO).await;
        background.drain(Duration::ZERO).await;
        records.drain(RECORDS_TIMEOUT).await;
        self.workers.halt();
        // Last, so that no request ends after its log.
        logs.drain(LAST_LINES).await;
        cut
    }
}

fn start_manager(grounds: &Grounds, ruleset: Ruleset) -> CertManager {
    certs::start(ManagerParts {
        ruleset,
        records: grounds.certificate_records(),
        cache: Arc::clone(&grounds.cache),
        clock: Clock::system(),
        tasks: grounds.background.clone(),
    })
}
