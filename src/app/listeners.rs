//! The listeners of plain HTTP and HTTPS: their addresses, their accept rules, and the servers behind them.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::Error;
use super::default_name::default_name;
use super::routing::Routing;
use crate::certs::challenge::Http01Tokens;
use crate::config::Config;
use crate::log_limit::LogLimit;
use crate::proxy::{
    CurrentRouter, ProxyService, RefusalCounters, ServiceOptions, TrustedProxies, WorkerRefusals,
};
use crate::server::{
    AcceptLoop, AcceptRules, ClientLimit, Https, HttpsParts, ListenOptions, Listener, PlainHttp,
    StreamMemory,
};
use crate::tasks::Tasks;
use crate::tls::{Acceptor, AcceptorRules};

/// The addresses that are listened on already, as configured and as bound.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) options: &'a ListenOptions,
    pub(super) addresses: [SocketAddr; 2],
}

/// Listeners for addresses that are not listened on yet.
#[derive(Debug, Default)]
pub(super) struct NewListeners {
    http: Option<Vec<Listener>>,
    https: Option<Vec<Listener>>,
}

impl NewListeners {
    /// Binds the addresses of `config` that are not bound yet.
    pub(super) fn bind(
        config: &Config,
        workers: usize,
        bound: Option<Bound<'_>>,
    ) -> Result<Self, Error> {
        let own = bound.map_or(Vec::new(), |bound| bound.addresses.to_vec());
        let before = bound.map(|bound| bound.options);
        let bind = |address: SocketAddr, before: Option<SocketAddr>, count| {
            let is_new = before != Some(address);
            let listeners = is_new.then(|| Listener::bind_beside(&own, address, count));
            listeners.transpose()
        };
        let listen = &config.listen;
        Ok(Self {
            http: bind(listen.http, before.map(|before| before.http), 1)?,
            https: bind(listen.https, before.map(|before| before.https), workers)?,
        })
    }
}

/// State that all servers share, whatever the configuration.
#[derive(Debug)]
pub(super) struct ServerState {
    pub(super) permits: Arc<Semaphore>,
    pub(super) connections: Tasks,
    pub(super) tokens: Arc<Http01Tokens>,
    pub(super) current_router: Arc<CurrentRouter>,
    pub(super) refusals: RefusalCounters,
    /// Limits the log of failures of accept.
    pub(super) accept_failure_log: Arc<LogLimit>,
}

/// The open listeners. A connection is served by the configuration that was current when it came, to its end.
#[derive(Debug)]
pub(super) struct Listeners {
    state: ServerState,
    stream_memory: Arc<StreamMemory>,
    client_limit: ClientLimit,
    acceptor: Arc<Acceptor>,
    http_rules: Arc<ArcSwap<AcceptRules>>,
    https_rules: Arc<ArcSwap<AcceptRules>>,
    plain: Arc<ArcSwap<PlainHttp>>,
    workers: Vec<Worker>,
    http: Address,
    https: Address,
}

/// One core's share of HTTPS.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    tasks: Tasks,
    https: Arc<ArcSwap<Https>>,
}

/// An address that is listened on until its accept loops are stopped.
#[derive(Debug)]
struct Address {
    bound: SocketAddr,
    accept_loops: Tasks,
}

impl Address {
    fn of(listeners: &[Listener]) -> Self {
        Self {
            bound: listeners[0].address(),
            accept_loops: Tasks::new(),
        }
    }
}

impl Listeners {
    /// Starts to accept on `listeners`: plain HTTP on the current runtime, HTTPS on each of `runtimes`. Both addresses must be
    /// bound.
    pub(super) fn start(
        config: &Config,
        state: ServerState,
        acceptor: Acceptor,
        listeners: NewListeners,
        runtimes: &[Handle],
    ) -> Self {
        let http = listeners.http.unwrap_or_default();
        let https = listeners.https.unwrap_or_default();
        let (http_address, https_address) = (Address::of(&http), Address::of(&https));
        let stream_memory = StreamMemory::new(config.limits.stream_memory);
        let limit = config.limits.connections_per_client;
        let client_limit = ClientLimit::new(limit, Arc::clone(&stream_memory));
        let [http_rules, https_rules] = accept_rules(config, &client_limit);
        let acceptor = Arc::new(acceptor);
        let servers = ServerBuilder {
            config,
            state: &state,
            acceptor: &acceptor,
            trust: &https_rules.trust,
        };
        let workers = runtimes.iter().enumerate().map(|(number, runtime)| {
            let tasks = state.connections.branch();
            Worker {
                runtime: runtime.clone(),
                https: Arc::new(ArcSwap::new(servers.https(number, &tasks))),
                tasks,
            }
        });
        let started = Self {
            workers: workers.collect(),
            plain: Arc::new(ArcSwap::new(servers.plain(https_address.bound.port()))),
            http_rules: Arc::new(ArcSwap::new(http_rules)),
            https_rules: Arc::new(ArcSwap::new(https_rules)),
            acceptor,
            client_limit,
            stream_memory,
            state,
            http: http_address,
            https: https_address,
        };
        started.accept_http(http, &started.http);
        started.accept_https(https, &started.https);
        started
    }

    /// Returns the bound addresses of plain HTTP and HTTPS.
    pub(super) fn addresses(&self) -> [SocketAddr; 2] {
        [self.http.bound, self.https.bound]
    }

    /// Builds the acceptor that replaces this one when `config` takes effect.
    pub(super) fn next_acceptor(
        &self,
        config: &Config,
        routing: &Routing,
    ) -> Result<Acceptor, Error> {
        Ok(self.acceptor.changed(acceptor_rules(config, routing))?)
    }

    /// Makes `config` take effect for connections from now on. Former addresses are closed once the new ones accept.
    pub(super) fn apply(&mut self, config: &Config, acceptor: Acceptor, listeners: NewListeners) {
        self.acceptor = Arc::new(acceptor);
        self.stream_memory.set_limit(config.limits.stream_memory);
        let [http_rules, https_rules] = accept_rules(config, &self.client_limit);
        let servers = ServerBuilder {
            config,
            state: &self.state,
            acceptor: &self.acceptor,
            trust: &https_rules.trust,
        };
        for (number, worker) in self.workers.iter().enumerate() {
            worker.https.store(servers.https(number, &worker.tasks));
        }
        let https = listeners.https.as_ref();
        let https = https.map_or(self.https.bound, |new| new[0].address());
        self.plain.store(servers.plain(https.port()));
        self.http_rules.store(http_rules);
        self.https_rules.store(https_rules);
        if let Some(listeners) = listeners.http {
            let address = Address::of(&listeners);
            self.accept_http(listeners, &address);
            std::mem::replace(&mut self.http, address)
                .accept_loops
                .stop();
        }
        if let Some(listeners) = listeners.https {
            let address = Address::of(&listeners);
            self.accept_https(listeners, &address);
            std::mem::replace(&mut self.https, address)
                .accept_loops
                .stop();
        }
    }

    /// Accepts plain HTTP on the current runtime.
    fn accept_http(&self, listeners: Vec<Listener>, address: &Address) {
        for listener in listeners {
            let tasks = self.state.connections.clone();
            let refusals = self.state.refusals.of_home();
            let accept_loop = self.accept_loop(listener, tasks, &self.http_rules, refusals);
            let plain = Arc::clone(&self.plain);
            let serve = move |accepted, shutdown| plain.load_full().serve(accepted, shutdown);
            let run = accept_loop.run(address.accept_loops.shutdown(), serve);
            self.state.connections.spawn(run);
        }
    }

    /// Accepts HTTPS on each worker's runtime.
    fn accept_https(&self, listeners: Vec<Listener>, address: &Address) {
        for (number, (worker, listener)) in self.workers.iter().zip(listeners).enumerate() {
            let tasks = worker.tasks.clone();
            let refusals = self.state.refusals.of_worker(number);
            let accept_loop = self.accept_loop(listener, tasks, &self.https_rules, refusals);
            let https = Arc::clone(&worker.https);
            let serve = move |accepted, shutdown| https.load_full().serve(accepted, shutdown);
            let run = accept_loop.run(address.accept_loops.shutdown(), serve);
            self.state.connections.spawn_on(run, &worker.runtime);
        }
    }

    fn accept_loop(
        &self,
        listener: Listener,
        tasks: Tasks,
        rules: &Arc<ArcSwap<AcceptRules>>,
        refusals: &Arc<WorkerRefusals>,
    ) -> AcceptLoop {
        let permits = Arc::clone(&self.state.permits);
        let accept_loop = AcceptLoop::new(listener, permits, tasks, Arc::clone(rules));
        accept_loop
            .counting(Arc::clone(refusals))
            .logging(Arc::clone(&self.state.accept_failure_log))
    }
}

/// Returns the rules of the plain HTTP listener and of the HTTPS listeners, which count clients together in `client_limit`.
fn accept_rules(config: &Config, client_limit: &ClientLimit) -> [Arc<AcceptRules>; 2] {
    let networks = config.trust.iter().flat_map(|peer| peer.networks());
    let trust = Arc::new(TrustedProxies::new(networks));
    let client_limit = client_limit.with_limit(config.limits.connections_per_client);
    let listen = &config.listen;
    [listen.http_proxy_protocol, listen.https_proxy_protocol].map(|proxy_protocol| {
        Arc::new(AcceptRules {
            trust: Arc::clone(&trust),
            client_limit: client_limit.clone(),
            proxy_protocol,
            timeout: config.limits.handshake_timeout,
        })
    })
}

/// Returns the rules for TLS handshakes.
pub(super) fn acceptor_rules(config: &Config, routing: &Routing) -> AcceptorRules {
    AcceptorRules {
        default_name: default_name(&config.sites),
        handshake_timeout: config.limits.handshake_timeout,
        sites: routing.tls.clone(),
    }
}

/// Builds the servers of one configuration.
struct ServerBuilder<'a> {
    config: &'a Config,
    state: &'a ServerState,
    acceptor: &'a Arc<Acceptor>,
    trust: &'a Arc<TrustedProxies>,
}

impl ServerBuilder<'_> {
    fn plain(&self, https_port: u16) -> Arc<PlainHttp> {
        let ServerState {
            tokens,
            current_router,
            refusals,
            ..
        } = self.state;
        let limits = self.config.limits.clone();
        let plain = PlainHttp::new(
            Arc::clone(tokens),
            Arc::clone(current_router),
            https_port,
            limits,
        );
        let plain = plain.trusting(Arc::clone(self.trust));
        Arc::new(plain.counting(Arc::clone(refusals.of_home())))
    }

    /// Builds the server of the worker with this number.
    fn https(&self, number: usize, tasks: &Tasks) -> Arc<Https> {
        let limits = &self.config.limits;
        let options = ServiceOptions {
            head_fields: limits.head_fields,
            head_size: limits.head_size,
            body_timeout: limits.body_timeout,
        };
        let current_router = Arc::clone(&self.state.current_router);
        let service = ProxyService::new(current_router, options, self.state.connections.clone());
        Https::new(HttpsParts {
            acceptor: Arc::clone(self.acceptor),
            service: service
                .for_worker(number, tasks.clone())
                .counting(Arc::clone(self.state.refusals.of_worker(number))),
            limits: limits.clone(),
            tasks: tasks.clone(),
            trust: Arc::clone(self.trust),
            has_forwarded: self.config.forwarded,
        })
    }
}
