//! The doors of plain HTTP and of HTTPS: where they listen, whom they let in, and who serves behind them.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::entries::entries;
use super::routing::Routing;
use super::{Error, sites};
use crate::certs::challenge::Http01Tokens;
use crate::config::Config;
use crate::proxy::{CurrentRouter, ProxyService, RefusalCounters, ServiceOptions, WorkerRefusals};
use crate::server::{Crowd, Door, Entry, Https, HttpsParts, Listener, PlainHttp};
use crate::tasks::Tasks;
use crate::tls::{Acceptor, AcceptorRules};

/// New listeners, where an address has changed.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) http: Option<Vec<Listener>>,
    pub(super) https: Option<Vec<Listener>>,
}

impl Listeners {
    /// Opens those that `former` does not have, beside its `own` addresses.
    pub(super) fn open(
        config: &Config,
        workers: usize,
        former: Option<(&Config, [SocketAddr; 2])>,
    ) -> Result<Self, Error> {
        let own = former.map_or(Vec::new(), |(_, own)| own.to_vec());
        let before = former.map(|(before, _)| &before.listen);
        let open = |(address, before): (SocketAddr, Option<SocketAddr>), count| {
            let is_new = before != Some(address);
            let opened = is_new.then(|| Listener::bind_beside(&own, address, count));
            opened.transpose()
        };
        let listen = &config.listen;
        Ok(Self {
            http: open((listen.http, before.map(|before| before.http)), 1)?,
            https: open((listen.https, before.map(|before| before.https)), workers)?,
        })
    }
}

/// What the doors lead to, whatever the configuration says.
#[derive(Debug)]
pub(super) struct Premises {
    pub(super) permits: Arc<Semaphore>,
    pub(super) connections: Tasks,
    pub(super) tokens: Arc<Http01Tokens>,
    pub(super) current_router: Arc<CurrentRouter>,
    pub(super) refusals: RefusalCounters,
}

/// The open doors. Who connects is served by what is current then, for as long as the connection lasts.
#[derive(Debug)]
pub(super) struct Front {
    premises: Premises,
    crowd: Crowd,
    acceptor: Arc<Acceptor>,
    entries: [Arc<ArcSwap<Entry>>; 2],
    plain: Arc<ArcSwap<PlainHttp>>,
    workers: Vec<Worker>,
    http: Open,
    https: Open,
}

/// One core's share of HTTPS.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    tasks: Tasks,
    https: Arc<ArcSwap<Https>>,
}

/// An address that is listened on, until its doors are told to stop.
#[derive(Debug)]
struct Open {
    address: SocketAddr,
    doors: Tasks,
}

impl Open {
    fn new(listeners: &[Listener]) -> Self {
        Self {
            address: listeners[0].address(),
            doors: Tasks::new(),
        }
    }
}

impl Front {
    /// Lets clients in by `listeners`, which are there for both doors, one for each of `runtimes` for HTTPS.
    pub(super) fn open(
        config: &Config,
        premises: Premises,
        acceptor: Acceptor,
        (http, https, runtimes): (Vec<Listener>, Vec<Listener>, &[Handle]),
    ) -> Self {
        let crowd = Crowd::new(None);
        let [plain_entry, entry] = entries(config, &crowd);
        let (at_http, at_https) = (Open::new(&http), Open::new(&https));
        let acceptor = Arc::new(acceptor);
        let build = Servers {
            config,
            premises: &premises,
            acceptor: &acceptor,
            entry: &entry,
        };
        let workers = runtimes.iter().enumerate().map(|(number, runtime)| {
            let tasks = premises.connections.branch();
            Worker {
                runtime: runtime.clone(),
                https: Arc::new(ArcSwap::new(build.https(number, &tasks))),
                tasks,
            }
        });
        let front = Self {
            workers: workers.collect(),
            plain: Arc::new(ArcSwap::new(build.plain(at_https.address.port()))),
            entries: [plain_entry, entry].map(|entry| Arc::new(ArcSwap::new(entry))),
            acceptor,
            crowd,
            premises,
            http: at_http,
            https: at_https,
        };
        front.serve_http(http, &front.http);
        front.serve_https(https, &front.https);
        front
    }

    /// Where plain HTTP and HTTPS are served.
    pub(super) fn addresses(&self) -> [SocketAddr; 2] {
        [self.http.address, self.https.address]
    }

    /// What takes the acceptor's place when `config` comes into effect.
    pub(super) fn next_acceptor(
        &self,
        config: &Config,
        routing: &Routing,
    ) -> Result<Acceptor, Error> {
        Ok(self.acceptor.changed(acceptor_rules(config, routing))?)
    }

    /// Brings `config` into effect for those who connect from now on. Former addresses are given up once the new ones are
    /// served.
    pub(super) fn change(&mut self, config: &Config, acceptor: Acceptor, listeners: Listeners) {
        self.acceptor = Arc::new(acceptor);
        let [plain_entry, entry] = entries(config, &self.crowd);
        let build = Servers {
            config,
            premises: &self.premises,
            acceptor: &self.acceptor,
            entry: &entry,
        };
        for (number, worker) in self.workers.iter().enumerate() {
            worker.https.store(build.https(number, &worker.tasks));
        }
        let https = listeners.https.as_ref();
        let https = https.map_or(self.https.address, |new| new[0].address());
        self.plain.store(build.plain(https.port()));
        for (slot, entry) in self.entries.iter().zip([plain_entry, entry]) {
            slot.store(entry);
        }
        if let Some(listeners) = listeners.http {
            let open = Open::new(&listeners);
            self.serve_http(listeners, &open);
            std::mem::replace(&mut self.http, open).doors.stop();
        }
        if let Some(listeners) = listeners.https {
            let open = Open::new(&listeners);
            self.serve_https(listeners, &open);
            std::mem::replace(&mut self.https, open).doors.stop();
        }
    }

    /// On the runtime that this is called on.
    fn serve_http(&self, listeners: Vec<Listener>, open: &Open) {
        for listener in listeners {
            let tasks = self.premises.connections.clone();
            let refusals = self.premises.refusals.of_home();
            let door = self.door(listener, tasks, (0, refusals));
            let plain = Arc::clone(&self.plain);
            let serve = move |client, shutdown| plain.load_full().serve(client, shutdown);
            let run = door.run(open.doors.shutdown(), serve);
            self.premises.connections.spawn(run);
        }
    }

    fn serve_https(&self, listeners: Vec<Listener>, open: &Open) {
        for (number, (worker, listener)) in self.workers.iter().zip(listeners).enumerate() {
            let refusals = self.premises.refusals.of_worker(number);
            let door = self.door(listener, worker.tasks.clone(), (1, refusals));
            let https = Arc::clone(&worker.https);
            let serve = move |client, shutdown| https.load_full().serve(client, shutdown);
            let run = door.run(open.doors.shutdown(), serve);
            self.premises.connections.spawn_on(run, &worker.runtime);
        }
    }

    fn door(
        &self,
        listener: Listener,
        tasks: Tasks,
        (entry, refusals): (usize, &Arc<WorkerRefusals>),
    ) -> Door {
        let permits = Arc::clone(&self.premises.permits);
        let door = Door::new(listener, permits, tasks, Arc::clone(&self.entries[entry]));
        door.counting(Arc::clone(refusals))
    }
}

/// What a configuration says of handshakes.
pub(super) fn acceptor_rules(config: &Config, routing: &Routing) -> AcceptorRules {
    AcceptorRules {
        default_name: sites::default_name(&config.sites),
        handshake_timeout: config.limits.handshake_timeout,
        sites: routing.tls.clone(),
    }
}

/// Builds what serves by one configuration.
struct Servers<'a> {
    config: &'a Config,
    premises: &'a Premises,
    acceptor: &'a Arc<Acceptor>,
    entry: &'a Entry,
}

impl Servers<'_> {
    fn plain(&self, https_port: u16) -> Arc<PlainHttp> {
        let Premises {
            tokens,
            current_router,
            refusals,
            ..
        } = self.premises;
        let limits = self.config.limits.clone();
        let plain = PlainHttp::new(
            Arc::clone(tokens),
            Arc::clone(current_router),
            https_port,
            limits,
        );
        let plain = plain.trusting(Arc::clone(&self.entry.trust));
        Arc::new(plain.counting(Arc::clone(refusals.of_home())))
    }

    /// The server of the worker of this number.
    fn https(&self, number: usize, tasks: &Tasks) -> Arc<Https> {
        let limits = &self.config.limits;
        let options = ServiceOptions {
            head_fields: limits.head_fields,
            head_size: limits.head_size,
            body_timeout: limits.body_timeout,
        };
        let current_router = Arc::clone(&self.premises.current_router);
        let service = ProxyService::new(current_router, options, self.premises.connections.clone());
        Https::new(HttpsParts {
            acceptor: Arc::clone(self.acceptor),
            service: service
                .for_worker(number, tasks.clone())
                .counting(Arc::clone(self.premises.refusals.of_worker(number))),
            limits: limits.clone(),
            tasks: tasks.clone(),
            trust: Arc::clone(&self.entry.trust),
            has_forwarded: self.config.forwarded,
        })
    }
}
