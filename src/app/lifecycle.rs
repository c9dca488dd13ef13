//! The life of one running proxy: start, reload and stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::info;

use super::Error;
use super::admin_endpoints::{AdminEndpoints, RunningAdmin};
use super::built_config::{Basis, BuiltConfig, Draft};
use super::certificates::ServedPairs;
use super::doctor::{Doctor, DoctorParts, RunningProxy};
use super::listeners::{
    BoundListener, BoundListeners, ListenerPlan, Listeners, ServerState, quic_secret,
};
use super::problems::ProblemWatch;
use super::process::{open_file_limit, service_manager};
use super::rehearsal::Rehearsal;
use super::shared_state::SharedState;
use super::shutdown::{End, Shutdown};
use super::start::{Opened, first_acceptor, start_manager, stats, watch_problems};
use super::upgrade::{Handover, Inherited, Successor, SuccessorError};
use super::workers::Workers;
use crate::admin::{
    CheckReport, CheckResult, ListenerStatus, ProcessCommand, RehearsalRequest, Stopped,
};
use crate::certs::CertManager;
use crate::config::{Config, ConfigChanges, ConfigFile};
use crate::proxy::CurrentRouter;
use crate::server::QuicNetwork;
use crate::tasks::Tasks;
use crate::tls;
use crate::upstream::SystemRoots;

/// A running proxy, which accepts connections from the moment that it exists.
#[derive(Debug)]
pub struct App {
    shared: SharedState,
    built: Arc<BuiltConfig>,
    manager: CertManager,
    pairs: ServedPairs,
    problem_watch: ProblemWatch,
    current_router: Arc<CurrentRouter>,
    listeners: Listeners,
    /// The rows of `proxy status` about them.
    open_listeners: Arc<ArcSwap<Vec<ListenerStatus>>>,
    connections: Tasks,
    workers: Workers,
    admin: RunningAdmin,
}

impl App {
    /// Builds everything that `config` asks for, and starts to accept connections last. Uses the `inherited` sockets.
    pub async fn start(config: &Config, inherited: Inherited) -> Result<Self, Error> {
        let max_connections = open_file_limit::raise(Workers::count());
        let opened = Opened::open(config, inherited, max_connections)?;
        Self::start_in(opened, config, max_connections).await
    }

    /// Accepts connections on the addresses of `config` to answer the challenges of `shared`, and for nothing else: there is
    /// no site and no admin socket. The storage of `shared` must be a temporary one.
    pub(super) async fn start_for_challenges(
        shared: SharedState,
        config: &Config,
    ) -> Result<Self, Error> {
        let mut config = Config {
            sites: Vec::new(),
            access_log: None,
            tracing: None,
            on_problem: None,
            ..config.clone()
        };
        config.limits.drain_timeout = Duration::ZERO;
        let max_connections = open_file_limit::raise(Workers::count());
        let none = BoundListeners::default();
        let opened = Opened {
            shared,
            admin: AdminEndpoints::default(),
            plan: ListenerPlan::bind(&config.listen, Workers::count(), &none)?,
            http3_link: None,
        };
        Self::start_in(opened, &config, max_connections).await
    }

    async fn start_in(
        opened: Opened,
        config: &Config,
        max_connections: usize,
    ) -> Result<Self, Error> {
        let (shared, admin) = (opened.shared, opened.admin);
        let (system, basis) = (SystemRoots::default(), Basis::First(opened.plan));
        let draft = Draft::build(config.clone(), &shared, system, basis)?;
        let (built, pairs, listeners) = (draft.built, draft.pairs, draft.listeners);
        built.issuance.open(config, None).await?;
        let pairs = pairs.serve(Arc::clone(&shared.cache), &shared.background);
        let manager = start_manager(&shared, built.issuance.rules());
        let problem_watch = watch_problems(&shared, config, &manager, draft.watched);
        let acceptor = first_acceptor(&shared, &built, &manager)?;
        let router = &built.routing.router;
        let current_router = CurrentRouter::new(router, shared.context.workers);
        current_router.replace(router, &built.observer());
        let open = listeners.listeners();
        shared.context.listen_addresses.set(open.addresses());
        let open_listeners = Arc::new(ArcSwap::from_pointee(open.statuses()));
        let connections = Tasks::new();
        let keys = quic_secret::keys(&*shared.storage).await;
        let quic_network = QuicNetwork::new(keys, opened.http3_link, &shared.background);
        let quic_network = quic_network.map_err(Error::Runtime)?;
        let state = ServerState {
            permits: Arc::new(Semaphore::new(max_connections)),
            connections: connections.clone(),
            tokens: Arc::clone(&shared.tokens),
            current_router: Arc::clone(&current_router),
            refusals: shared.refusals.clone(),
            figures: shared.figures.clone(),
            quic_network,
            accept_failure_log: Arc::default(),
        };
        let admin = admin.serve(stats(
            &shared,
            &state,
            max_connections,
            &manager,
            &open_listeners,
        ));
        let workers = Workers::start().map_err(Error::Runtime)?;
        let (listen, runtimes) = (built.listen(), workers.runtimes());
        let listeners = Listeners::start(listen, state, acceptor, listeners, runtimes);
        let app = Self {
            shared,
            built: Arc::new(built),
            manager,
            pairs,
            problem_watch,
            current_router,
            listeners,
            open_listeners,
            connections,
            workers,
            admin,
        };
        app.log_listeners();
        Ok(app)
    }

    /// Tells the watchdog of the service manager from now on that the proxy lives.
    pub(super) fn start_watchdog(&self) {
        let background = &self.shared.background;
        let workers = self.workers.runtimes().to_vec();
        background.spawn(service_manager::run_watchdog(
            workers,
            background.shutdown(),
        ));
    }

    fn log_listeners(&self) {
        let BoundListeners { http, https } = self.listeners();
        let named = |listeners: &[BoundListener]| {
            let addresses: Vec<_> = listeners.iter().map(BoundListener::named_address).collect();
            addresses.join(",")
        };
        let sites = self.config().sites.len();
        info!(http = %named(&http), https = %named(&https), sites, "listening");
    }

    /// Returns the listeners that are open.
    pub(super) fn listeners(&self) -> BoundListeners {
        self.listeners.bound()
    }

    /// Takes the receiver of the commands that come over the admin socket. Whoever has it carries them out.
    pub(super) fn take_commands(&mut self) -> mpsc::Receiver<ProcessCommand> {
        let (_, none) = mpsc::channel(1);
        std::mem::replace(&mut self.admin.commands, none)
    }

    /// Returns the manager of certificates.
    #[must_use]
    pub fn manager(&self) -> &CertManager {
        &self.manager
    }

    /// Returns the configuration in effect.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.built.config
    }

    /// Reads the configuration again and makes it take effect: all of it, or nothing if anything is wrong with it. What stays
    /// the same is carried over, running requests end as they began, and no connection is closed.
    ///
    /// If the future is dropped early, the proxy can only be stopped.
    pub async fn reload(&mut self, file: &ConfigFile) -> Result<ConfigChanges, Error> {
        let reloaded = self.try_reload(file).await;
        self.shared.reloads.count(reloaded.is_ok());
        reloaded
    }

    async fn try_reload(&mut self, file: &ConfigFile) -> Result<ConfigChanges, Error> {
        let (shared, built, file) = (self.shared.clone(), Arc::clone(&self.built), file.clone());
        let listeners = self.listeners();
        let drafting = on_own_thread(move || {
            let config = file.read_again(&built.config)?;
            let system = SystemRoots::default();
            config.check_files(&system)?;
            let changes = ConfigChanges::between(&built.config, &config);
            let running = Basis::Running {
                built: &built,
                listeners: &listeners,
            };
            let draft = Draft::build(config, &shared, system, running)?;
            Ok((draft, changes))
        });
        let (draft, mut changes) = drafting.await?;
        let (issuance, config) = (&draft.built.issuance, &draft.built.config);
        issuance.open(config, Some(&self.built.config)).await?;
        let (listen, tls) = (draft.built.listen(), &draft.built.routing.tls);
        let acceptor = self.listeners.next_acceptor(listen, tls)?;
        changes.certificates = self.apply(draft, acceptor).await;
        Ok(changes)
    }

    /// Makes a draft take effect. No step of it can fail. Certificates come first, then the requests for them. Returns the files
    /// that have another certificate than before.
    async fn apply(&mut self, draft: Draft, acceptor: tls::Acceptor) -> Vec<PathBuf> {
        let Draft {
            built,
            pairs,
            listeners,
            watched,
            page,
        } = draft;
        let changed = self.pairs.replace(pairs).await;
        self.problem_watch.replace(watched);
        self.manager.reload(built.issuance.rules());
        let open = listeners.listeners();
        let listen_addresses = &self.shared.context.listen_addresses;
        listen_addresses.set(open.addresses());
        self.open_listeners.store(Arc::new(open.statuses()));
        let listen = built.listen();
        self.listeners.replace_servers(listen, acceptor, &listeners);
        self.current_router
            .replace(&built.routing.router, &built.observer());
        self.listeners.replace(listen, listeners);
        let drain_timeout = built.config.limits.drain_timeout;
        let upstreams = &self.shared.context.tasks;
        let former = &self.built.routing;
        former.close_removed(&built.routing, drain_timeout, upstreams);
        self.admin.replace_page(page);
        self.built = Arc::new(built);
        changed
    }

    /// Checks what must hold for `names`, beside everything else, and tells `asker`. The `file` is that of the configuration.
    pub fn check(
        &self,
        names: Vec<String>,
        file: Option<&ConfigFile>,
        asker: oneshot::Sender<CheckReport>,
    ) {
        let listeners = self.open_listeners.load_full();
        let held = listeners.iter().map(|listener| {
            let ListenerStatus {
                protocol, address, ..
            } = listener;
            CheckResult::ok(
                "ports",
                format!("the running proxy accepts {protocol} on {address}"),
            )
        });
        let doctor = Doctor::new(DoctorParts {
            config: self.built.config.clone(),
            rules: self.built.issuance.rules(),
            shared: &self.shared,
            upstreams: self.built.context.clone(),
            listeners: held.collect(),
            running: Some(RunningProxy {
                manager: self.manager.clone(),
                listeners: listeners.to_vec(),
                file: file.cloned(),
            }),
        });
        self.examine(asker, async move { Ok(doctor?.run(&names).await) });
    }

    /// Orders certificates at staging CAs, beside everything else, and tells `asker` the results.
    pub fn rehearse(&self, request: RehearsalRequest, asker: oneshot::Sender<CheckReport>) {
        let rehearsal = Rehearsal::new(&self.built.config, request, &self.shared);
        self.examine(asker, async move { Ok(rehearsal?.run().await) });
    }

    /// Runs `work` until it has a report, or until nobody waits for that.
    fn examine(
        &self,
        mut asker: oneshot::Sender<CheckReport>,
        work: impl Future<Output = Result<CheckReport, Error>> + Send + 'static,
    ) {
        self.admin.tasks.spawn(async move {
            let report = tokio::select! {
                report = work => report,
                () = asker.closed() => return,
            };
            let failed = |error: Error| CheckReport {
                checks: vec![CheckResult::fail("process", error)],
            };
            let _ = asker.send(report.unwrap_or_else(failed));
        });
    }

    /// Opens the file of the access log again, after it was moved.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.built.access_log {
            log.reopen();
        }
    }

    /// Starts `binary` as the process that replaces this one, with the sockets of this one, and waits until it serves. From
    /// then on, both accept connections; [`Self::leave`] must follow.
    pub(super) async fn start_successor(&self, binary: &Path) -> Result<Successor, SuccessorError> {
        let mut handover = Handover::default();
        let sockets = self.listeners.duplicates();
        handover.add(sockets.map_err(SuccessorError::Sockets)?);
        let added = self.admin.add_to(&mut handover);
        added.map_err(SuccessorError::Sockets)?;
        let link = self.listeners.link_successor(&self.shared.background);
        handover.add_link(link.map_err(SuccessorError::Sockets)?);
        Successor::start(binary, handover).await
    }

    /// Accepts no more connections, and tells the clients of the open ones. [`Self::stop`] or [`Self::leave`] must follow.
    pub(super) fn begin_drain(&self, end: &End) {
        if matches!(end, End::Upgraded) {
            self.listeners.hand_over();
        }
        end.begin(&self.connections, self.built.config.limits.drain_timeout);
    }

    /// Ends as [`Self::stop`] does, but slowly: another process has taken over, and the clients of this one shall not come to
    /// it all at once.
    pub(super) async fn leave(self) -> usize {
        self.admin.complete_handover();
        self.end(None).await
    }

    /// Accepts no more connections, waits for the open ones within the drain time-out, and returns the number that were cut.
    /// `asker` is told before the admin socket is closed. Orders are left as they stand and resumed at the next start.
    pub async fn stop(self, asker: Option<oneshot::Sender<Stopped>>) -> usize {
        service_manager::tell_stopping(self.built.config.limits.drain_timeout).await;
        self.end(asker).await
    }

    async fn end(self, asker: Option<oneshot::Sender<Stopped>>) -> usize {
        let drain = Shutdown {
            timeout: self.built.config.limits.drain_timeout,
            connections: self.connections,
            upstreams: self.shared.context.tasks,
            background: self.shared.background,
            admin: self.admin.tasks,
            records: self.shared.records,
            workers: self.workers,
            logs: self.shared.logs,
        };
        drain.run(asker).await
    }
}

/// Runs `build` on a thread that ends with it.
///
/// The allocator keeps memory ready for each thread that lives. The threads of the pool take turns, so each of them would
/// keep about as much as a whole configuration.
async fn on_own_thread<T, F>(build: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    let runtime = Handle::current();
    let (built, result) = oneshot::channel();
    let work = move || {
        let _runtime = runtime.enter();
        let _ = built.send(build());
    };
    thread::Builder::new()
        .name("reload".to_owned())
        .spawn(work)
        .map_err(Error::Runtime)?;
    result.await.map_err(Error::Abandoned)?
}
