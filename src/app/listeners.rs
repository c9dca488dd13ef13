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
use crate::proxy::{CurrentRouter, ProxyService, RefusalCounters, ServiceOptions, TrustedProxies};
use crate::server::{
    AcceptLoop, AcceptRules, ClientLimit, DirectResponder, ForwardingRules, Https, HttpsParts,
    ListenOptions, Listener, PlainHttp, PlainHttpParts, StreamMemory,
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
        let bind = |address: SocketAddr, before: Option<SocketAddr>| {
            let is_new = before != Some(address);
            let listeners = is_new.then(|| Listener::bind_beside(&own, address, workers));
            listeners.transpose()
        };
        let listen = &config.listen;
        Ok(Self {
            http: bind(listen.http, before.map(|before| before.http))?,
            https: bind(listen.https, before.map(|before| before.https))?,
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
    workers: Vec<Worker>,
    http: Address,
    https: Address,
}

/// One core's share of both listeners.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    tasks: Tasks,
    http: Arc<ArcSwap<PlainHttp>>,
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
    /// Starts to accept on `listeners`, on each of `runtimes`. Both addresses must be bound.
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
            https_port: https_address.bound.port(),
        };
        let workers = runtimes.iter().enumerate().map(|(number, runtime)| {
            let tasks = state.connections.branch();
            Worker {
                runtime: runtime.clone(),
                http: Arc::new(ArcSwap::new(servers.http(number, &tasks))),
                https: Arc::new(ArcSwap::new(servers.https(number, &tasks))),
                tasks,
            }
        });
        let started = Self {
            workers: workers.collect(),
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
        let https = listeners.https.as_ref();
        let https = https.map_or(self.https.bound, |new| new[0].address());
        let servers = ServerBuilder {
            config,
            state: &self.state,
            acceptor: &self.acceptor,
            trust: &https_rules.trust,
            https_port: https.port(),
        };
        for (number, worker) in self.workers.iter().enumerate() {
            worker.http.store(servers.http(number, &worker.tasks));
            worker.https.store(servers.https(number, &worker.tasks));
        }
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

    /// Accepts plain HTTP on each worker's runtime.
    fn accept_http(&self, listeners: Vec<Listener>, address: &Address) {
        for (number, (worker, listener)) in self.workers.iter().zip(listeners).enumerate() {
            let accept_loop = self.accept_loop(number, listener, &self.http_rules);
            let http = Arc::clone(&worker.http);
            let serve = move |accepted, shutdown| http.load_full().serve(accepted, shutdown);
            let run = accept_loop.run(address.accept_loops.shutdown(), serve);
            self.state.connections.spawn_on(run, &worker.runtime);
        }
    }

    /// Accepts HTTPS on each worker's runtime.
    fn accept_https(&self, listeners: Vec<Listener>, address: &Address) {
        for (number, (worker, listener)) in self.workers.iter().zip(listeners).enumerate() {
            let accept_loop = self.accept_loop(number, listener, &self.https_rules);
            let https = Arc::clone(&worker.https);
            let serve = move |accepted, shutdown| https.load_full().serve(accepted, shutdown);
            let run = accept_loop.run(address.accept_loops.shutdown(), serve);
            self.state.connections.spawn_on(run, &worker.runtime);
        }
    }

    /// Returns the accept loop of a listener of the worker with this number.
    fn accept_loop(
        &self,
        number: usize,
        listener: Listener,
        rules: &Arc<ArcSwap<AcceptRules>>,
    ) -> AcceptLoop {
        let tasks = self.workers[number].tasks.clone();
        let refusals = self.state.refusals.of_worker(number);
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
    https_port: u16,
}

impl ServerBuilder<'_> {
    /// Builds the plain HTTP server of the worker with this number.
    fn http(&self, number: usize, tasks: &Tasks) -> Arc<PlainHttp> {
        let state = self.state;
        PlainHttp::new(PlainHttpParts {
            direct: DirectResponder {
                tokens: Arc::clone(&state.tokens),
                current_router: Arc::clone(&state.current_router),
                refusals: Arc::clone(state.refusals.of_worker(number)),
                worker: number,
                https_port: self.https_port,
            },
            service: self.service(number, tasks),
            limits: self.config.limits.clone(),
            tasks: tasks.clone(),
            forwarding: self.forwarding(),
        })
    }

    /// Builds the HTTPS server of the worker with this number.
    fn https(&self, number: usize, tasks: &Tasks) -> Arc<Https> {
        Https::new(HttpsParts {
            acceptor: Arc::clone(self.acceptor),
            service: self.service(number, tasks),
            limits: self.config.limits.clone(),
            tasks: tasks.clone(),
            forwarding: self.forwarding(),
        })
    }

    fn service(&self, number: usize, tasks: &Tasks) -> ProxyService {
        let limits = &self.config.limits;
        let options = ServiceOptions {
            head_fields: limits.head_fields,
            head_size: limits.head_size,
            body_timeout: limits.body_timeout,
        };
        let current_router = Arc::clone(&self.state.current_router);
        let service = ProxyService::new(current_router, options, self.state.connections.clone());
        service
            .for_worker(number, tasks.clone())
            .counting(Arc::clone(self.state.refusals.of_worker(number)))
    }

    fn forwarding(&self) -> ForwardingRules {
        ForwardingRules {
            trust: Arc::clone(self.trust),
            has_forwarded: self.config.forwarded,
        }
    }
}
