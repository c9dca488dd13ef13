//! The open listeners: starts them, replaces what is behind them, and closes those that a new configuration has not.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tracing::{error, info};

use super::default_names::default_names;
use super::listener_plan::{
    BoundListener, BoundListeners, Http3State, ListenerPlan, PlannedListener, Source,
};
use super::server_builder::{ListenConfig, RulesBuilder, ServerBuilder, ServerState};
use crate::app::Error;
use crate::app::routing::TlsRules;
use crate::memory::StreamMemory;
use crate::server::{
    AcceptLoop, AcceptRules, Accepted, ClientLimit, Https, ListenSocket, Listener, PlainHttp,
    QuicAcceptLoop, QuicAcceptParts, SuccessorLink, UdpListener, WorkerSockets,
};
use crate::tasks::{Shutdown, Tasks};
use crate::tls::{Acceptor, AcceptorRules, QuicHandshake};

/// The open listeners. A connection is served by the configuration that was current when it came, to its end.
#[derive(Debug)]
pub(in crate::app) struct Listeners {
    state: ServerState,
    stream_memory: Arc<StreamMemory>,
    client_limit: ClientLimit,
    acceptor: Arc<Acceptor>,
    workers: Vec<Worker>,
    http: Vec<OpenListener>,
    https: Vec<OpenListener>,
}

/// One core's share of all listeners.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    tasks: Tasks,
    http: Arc<ArcSwap<PlainHttp>>,
    https: Arc<ArcSwap<Https>>,
}

/// A listener that is open until its accept loops are stopped.
#[derive(Debug)]
struct OpenListener {
    bound: BoundListener,
    rules: Arc<ArcSwap<AcceptRules>>,
    accept_loops: Tasks,
    sockets: Vec<ListenSocket>,
    /// The accept loops of HTTP/3.
    quic_loops: Option<Tasks>,
    /// The sockets of HTTP/3 that are not open yet.
    udp: Vec<UdpListener>,
    /// Duplicates of those that are open.
    udp_handles: Vec<UdpListener>,
}

impl Listeners {
    /// Starts to accept on the listeners of `plan`, on each of `runtimes`.
    pub(in crate::app) fn start(
        listen: ListenConfig<'_>,
        state: ServerState,
        acceptor: Acceptor,
        plan: ListenerPlan,
        runtimes: &[Handle],
    ) -> Self {
        let limits = &listen.config.limits;
        let stream_memory = StreamMemory::new(limits.stream_memory);
        let limit = limits.connections_per_client;
        let permits = Arc::clone(&state.permits);
        let client_limit = ClientLimit::new(limit, Arc::clone(&stream_memory), permits);
        let acceptor = Arc::new(acceptor);
        let servers = ServerBuilder::new(listen, &state, &acceptor, &plan.listeners());
        let workers = runtimes.iter().enumerate().map(|(number, runtime)| {
            let tasks = state.connections.branch();
            Worker {
                runtime: runtime.clone(),
                http: Arc::new(ArcSwap::new(servers.http(number, &tasks))),
                https: Arc::new(ArcSwap::new(servers.https(number, &tasks))),
                tasks,
            }
        });
        let mut started = Self {
            workers: workers.collect(),
            acceptor,
            client_limit,
            stream_memory,
            state,
            http: Vec::new(),
            https: Vec::new(),
        };
        started.take_over(listen, plan);
        started
    }

    /// Returns the listeners that are open.
    pub(in crate::app) fn bound(&self) -> BoundListeners {
        let bound = |open: &[OpenListener]| open.iter().map(|open| open.bound.clone()).collect();
        BoundListeners {
            http: bound(&self.http),
            https: bound(&self.https),
        }
    }

    /// Opens the sockets of all listeners once more, with their names, to hand them over to another process.
    pub(in crate::app) fn duplicates(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let bound = self.bound();
        let open = self.http.iter().chain(&self.https);
        let mut duplicates = Vec::new();
        for (name, listener) in bound.socket_names().zip(open) {
            for socket in &listener.sockets {
                let duplicate = socket.duplicate()?;
                duplicates.extend(duplicate.map(|duplicate| (name.clone(), duplicate)));
            }
        }
        for (name, listener) in bound.udp_names().zip(&self.https) {
            for socket in &listener.udp_handles {
                duplicates.push((name.clone(), socket.duplicate()?.into()));
            }
        }
        Ok(duplicates)
    }

    /// Makes the link over which datagrams are passed between this process and the one that takes over.
    pub(in crate::app) fn link_successor(&self, tasks: &Tasks) -> io::Result<SuccessorLink> {
        self.state.quic_network.link_successor(tasks)
    }

    /// Leaves the sockets of HTTP/3 to the process that has taken over.
    pub(in crate::app) fn hand_over(&self) {
        self.state.quic_network.hand_over();
    }

    /// Builds the acceptor that replaces this one when `listen` takes effect.
    pub(in crate::app) fn next_acceptor(
        &self,
        listen: ListenConfig<'_>,
        tls: &TlsRules,
    ) -> Result<Acceptor, Error> {
        Ok(self.acceptor.changed(acceptor_rules(listen, tls))?)
    }

    /// Makes connections from now on be served as `listen` says. [`Self::replace`] must follow, once the router has been
    /// replaced: before, it does not know the sites of new listeners.
    pub(in crate::app) fn replace_servers(
        &mut self,
        listen: ListenConfig<'_>,
        acceptor: Acceptor,
        plan: &ListenerPlan,
    ) {
        self.acceptor = Arc::new(acceptor);
        self.stream_memory
            .set_limit(listen.config.limits.stream_memory);
        let servers = ServerBuilder::new(listen, &self.state, &self.acceptor, &plan.listeners());
        for (number, worker) in self.workers.iter().enumerate() {
            worker.http.store(servers.http(number, &worker.tasks));
            worker.https.store(servers.https(number, &worker.tasks));
        }
    }

    /// Opens the listeners of `plan`, then closes those that it has not.
    pub(in crate::app) fn replace(&mut self, listen: ListenConfig<'_>, plan: ListenerPlan) {
        for address in plan.new_addresses() {
            info!(address, "listener opened");
        }
        self.take_over(listen, plan);
    }

    fn take_over(&mut self, listen: ListenConfig<'_>, plan: ListenerPlan) {
        let rules = RulesBuilder::new(listen, &self.client_limit);
        let mut former = optional(mem::take(&mut self.http));
        self.http = self.open(plan.http, &mut former, &rules, |worker| {
            let http = Arc::clone(&worker.http);
            move |accepted, shutdown| http.load_full().serve(accepted, shutdown)
        });
        close(former);
        let mut former = optional(mem::take(&mut self.https));
        self.https = self.open(plan.https, &mut former, &rules, |worker| {
            let https = Arc::clone(&worker.https);
            move |accepted, shutdown| https.load_full().serve(accepted, shutdown)
        });
        close(former);
        let mut https = mem::take(&mut self.https);
        for open in &mut https {
            self.adjust_quic(open);
        }
        self.https = https;
    }

    /// Begins or ends to serve HTTP/3 on one listener, as it is planned.
    fn adjust_quic(&self, open: &mut OpenListener) {
        if !matches!(open.bound.http3, Http3State::On(_)) {
            if let Some(loops) = open.quic_loops.take() {
                info!(address = open.bound.named_address(), "HTTP/3 switched off");
                loops.stop();
            }
            open.udp_handles = Vec::new();
            return;
        }
        let udp = mem::take(&mut open.udp);
        if udp.is_empty() {
            return;
        }
        let address = open.bound.named_address();
        let failed = |error: io::Error| error!(address, %error, "listener cannot serve HTTP/3");
        let handles: io::Result<Vec<_>> = udp.iter().map(UdpListener::duplicate).collect();
        let sockets = WorkerSockets::new(udp, &self.state.quic_network);
        let (sockets, handles) = match (sockets, handles) {
            (Ok(sockets), Ok(handles)) => (sockets, handles),
            (Err(error), _) | (_, Err(error)) => return failed(error),
        };
        let loops = Tasks::new();
        let workers = self.workers.iter().enumerate().cycle();
        for ((number, worker), socket) in workers.zip(sockets.into_each()) {
            let parts = QuicAcceptParts {
                network: self.state.quic_network.clone(),
                first_keys: QuicHandshake::first_keys(&self.acceptor),
                permits: Arc::clone(&self.state.permits),
                tasks: worker.tasks.clone(),
                rules: Arc::clone(&open.rules),
                refusals: Arc::clone(self.state.refusals.of_worker(number)),
            };
            let runtime = worker.runtime.enter();
            let accept_loop = QuicAcceptLoop::open(socket, parts);
            drop(runtime);
            let accept_loop = match accept_loop {
                Ok(accept_loop) => accept_loop,
                Err(error) => {
                    failed(error);
                    continue;
                }
            };
            let https = Arc::clone(&worker.https);
            let serve = move |accepted, shutdown| https.load_full().serve_quic(accepted, shutdown);
            let run = accept_loop.run(loops.shutdown(), serve);
            self.state.connections.spawn_on(run, &worker.runtime);
        }
        open.quic_loops = Some(loops);
        open.udp_handles = handles;
    }

    /// Opens the planned listeners of one kind. Takes those that stay from `former`. `server` returns the function by which a
    /// worker serves their connections.
    fn open<F, Served>(
        &self,
        planned: Vec<PlannedListener>,
        former: &mut [Option<OpenListener>],
        rules: &RulesBuilder<'_>,
        server: impl Fn(&Worker) -> F,
    ) -> Vec<OpenListener>
    where
        F: Fn(Accepted, Shutdown) -> Served + Clone + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let open = planned.into_iter().filter_map(|planned| {
            let rules = rules.rules(&planned.bound);
            match planned.source {
                Source::Running(index) => {
                    let running = former.get_mut(index)?.take()?;
                    running.rules.store(rules);
                    Some(OpenListener {
                        bound: planned.bound,
                        udp: planned.udp,
                        ..running
                    })
                }
                Source::New(sockets) => {
                    let mut open = OpenListener {
                        bound: planned.bound,
                        rules: Arc::new(ArcSwap::new(rules)),
                        accept_loops: Tasks::new(),
                        sockets: Vec::new(),
                        quic_loops: None,
                        udp: planned.udp,
                        udp_handles: Vec::new(),
                    };
                    self.accept(sockets, &mut open, &server);
                    Some(open)
                }
            }
        });
        open.collect()
    }

    /// Accepts the connections of one listener on each worker's runtime.
    fn accept<F, Served>(
        &self,
        sockets: Vec<Listener>,
        open: &mut OpenListener,
        server: &impl Fn(&Worker) -> F,
    ) where
        F: Fn(Accepted, Shutdown) -> Served + Clone + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let state = &self.state;
        let workers = self.workers.iter().enumerate().cycle();
        for ((number, worker), socket) in workers.zip(sockets) {
            let runtime = worker.runtime.enter();
            let socket = match socket.open() {
                Ok(socket) => socket,
                Err(error) => {
                    let address = open.bound.named_address();
                    error!(server.addr = address, %error, "listener cannot accept");
                    continue;
                }
            };
            drop(runtime);
            open.sockets.push(socket.socket());
            let (permits, tasks) = (Arc::clone(&state.permits), worker.tasks.clone());
            let accept_loop = AcceptLoop::new(socket, permits, tasks, Arc::clone(&open.rules))
                .counting(Arc::clone(state.refusals.of_worker(number)))
                .logging(Arc::clone(&state.accept_failure_log));
            let run = accept_loop.run(open.accept_loops.shutdown(), server(worker));
            state.connections.spawn_on(run, &worker.runtime);
        }
    }
}

fn optional(open: Vec<OpenListener>) -> Vec<Option<OpenListener>> {
    open.into_iter().map(Some).collect()
}

fn close(former: Vec<Option<OpenListener>>) {
    for gone in former.into_iter().flatten() {
        info!(address = gone.bound.named_address(), "listener closed");
        gone.accept_loops.stop();
        if let Some(loops) = gone.quic_loops {
            loops.stop();
        }
    }
}

/// Returns the rules for TLS handshakes.
pub(in crate::app) fn acceptor_rules(listen: ListenConfig<'_>, tls: &TlsRules) -> AcceptorRules {
    AcceptorRules {
        default_names: default_names(&listen.config.sites, listen.names),
        handshake_timeout: listen.config.limits.handshake_timeout,
        sites: tls.clone(),
    }
}
