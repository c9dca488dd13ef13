//! One running proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::{error, info};

use super::certificates::{Certificates, open_storage};
use super::workers::Workers;
use super::{Error, entries, file_limit, sites};
use crate::admin;
use crate::certs::challenge::TlsAlpn01Certificates;
use crate::certs::{CertCache, CertManager};
use crate::config::Config;
use crate::proxy::{AccessLog, ProxyService, Routers, ServiceOptions};
use crate::server::{Door, Entry, Https, HttpsParts, Listener, PlainHttp};
use crate::tasks::Tasks;
use crate::tls;
use crate::upstream::Means;

/// How long the end of the process waits for DNS records to be removed.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last lines of the access log may take to be written.
const LAST_LINES: Duration = Duration::from_secs(5);

/// A running proxy: both doors are open when it exists.
#[derive(Debug)]
pub struct App {
    http: SocketAddr,
    https: SocketAddr,
    manager: CertManager,
    connections: Tasks,
    backends: Tasks,
    background: Tasks,
    records: Tasks,
    logs: Tasks,
    access_log: Option<AccessLog>,
    workers: Workers,
    drain_timeout: Duration,
}

impl App {
    /// Builds everything from the ground up, opens the doors last, and then sees to the certificates.
    pub async fn start(config: &Config) -> Result<Self, Error> {
        let fitting = file_limit::raise(Workers::count());
        let permits = Arc::new(Semaphore::new(fitting));
        let (connections, backends) = (Tasks::new(), Tasks::new());
        let (background, logs) = (Tasks::at_home(), Tasks::at_home());
        let means = means(fitting, config, &backends);
        let storage = open_storage(config)?;
        let admin = open_admin(config)?;
        let (routers, auths) = sites::routing(config, &means)?;
        let records = Tasks::at_home();
        let certificates = Certificates::prepare(config, storage, (&background, &records)).await?;
        let http = Listener::bind(config.listen.http, 1)?;
        let https = Listener::bind(config.listen.https, means.workers)?;
        let (http_address, https_address) = (http[0].address(), https[0].address());

        let access_log = open_access_log(config, &means, &logs)?;
        let limits = config.limits.clone();
        let tokens = Arc::clone(certificates.tokens());
        let [plain_entry, entry] = entries::entries(config);
        let plain = PlainHttp::new(tokens, Arc::clone(&routers), https_address.port(), limits);
        let plain = plain.with_access_log(access_log.clone(), Arc::clone(&plain_entry.trust));
        let plain = Arc::new(plain);
        open_plain(http, &plain, (&permits, plain_entry), &connections);
        let shown = certificates.shown();
        let manager = certificates.start(config, &background);
        serve_admin(admin, &manager, &background);
        let service = service(config, routers, &connections);
        let service = service.with_access_log(access_log.clone());
        let servers = https_servers(config, (service, &entry, auths), shown, &manager)?;
        let doors = https.into_iter().enumerate().map(|(worker, listener)| {
            let tasks = connections.branch();
            let server = servers(worker, tasks.clone());
            let door = Door::new(listener, Arc::clone(&permits), tasks, Arc::clone(&entry));
            door.run(move |client, shutdown| Arc::clone(&server).serve(client, shutdown))
        });
        let workers = Workers::start(doors.collect(), &connections).map_err(Error::Runtime)?;
        info!(http = %http_address, https = %https_address, sites = config.sites.len(), "listening");
        Ok(Self {
            http: http_address,
            https: https_address,
            manager,
            connections,
            backends,
            background,
            records,
            logs,
            access_log,
            workers,
            drain_timeout: config.limits.drain_timeout,
        })
    }

    /// Where plain HTTP is served.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where HTTPS is served.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// The certificates.
    #[must_use]
    pub fn manager(&self) -> &CertManager {
        &self.manager
    }

    /// Opens the access log's file anew, after it was moved.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// Takes nothing new, lets what runs finish within the drain's time, and returns how many
    /// connections were cut. Orders are abandoned: they are taken up at the next start.
    pub async fn stop(self) -> usize {
        self.background.stop();
        self.records.stop();
        let cut = self.connections.drain(self.drain_timeout).await;
        self.backends.drain(Duration::ZERO).await;
        self.background.drain(Duration::ZERO).await;
        self.records.drain(RECORDS_TIMEOUT).await;
        self.workers.halt();
        // Last, so that no request ends after its log.
        self.logs.drain(LAST_LINES).await;
        cut
    }
}

fn means(fitting: usize, config: &Config, backends: &Tasks) -> Means {
    Means {
        // One HTTP/2 client can keep many backend connections busy: they have a bound of their own.
        places: Arc::new(Semaphore::new(fitting)),
        workers: Workers::count(),
        resolver: sites::resolver(&config.resolver),
        ..Means::new(backends.clone())
    }
}

fn open_access_log(
    config: &Config,
    means: &Means,
    logs: &Tasks,
) -> Result<Option<AccessLog>, Error> {
    let Some(options) = &config.access_log else {
        return Ok(None);
    };
    let log = AccessLog::start(options, means.workers, logs);
    log.map(Some).map_err(|source| Error::AccessLog {
        target: options.target.clone(),
        source,
    })
}

/// Serves plain HTTP from now on.
fn open_plain(
    listeners: Vec<Listener>,
    plain: &Arc<PlainHttp>,
    (permits, entry): (&Arc<Semaphore>, Arc<Entry>),
    connections: &Tasks,
) {
    for listener in listeners {
        let tasks = connections.clone();
        let door = Door::new(listener, Arc::clone(permits), tasks, Arc::clone(&entry));
        let plain = Arc::clone(plain);
        let serve = move |client, shutdown| Arc::clone(&plain).serve(client, shutdown);
        connections.spawn(door.run(serve));
    }
}

/// A full disk does not keep the sites down, though they cannot be asked about.
fn open_admin(config: &Config) -> Result<Option<admin::Socket>, Error> {
    match admin::Socket::open(&config.admin_path()) {
        Err(error) if error.is_passing() => {
            error!(%error, "there is no admin socket");
            Ok(None)
        }
        opened => Ok(Some(opened?)),
    }
}

fn serve_admin(socket: Option<admin::Socket>, manager: &CertManager, tasks: &Tasks) {
    if let Some(socket) = socket {
        let desk = admin::Desk::live(manager.clone());
        tasks.spawn(admin::Server::new(desk, tasks.clone()).run(socket));
    }
}

/// What answers the requests of all workers.
fn service(config: &Config, routers: Arc<Routers>, connections: &Tasks) -> ProxyService {
    let options = ServiceOptions {
        head_fields: config.limits.head_fields,
        head_size: config.limits.head_size,
        body_timeout: config.limits.body_timeout,
    };
    ProxyService::new(routers, options, connections.clone())
}

/// What makes the HTTPS server of each worker, all of them over one acceptor and one router.
fn https_servers(
    config: &Config,
    (service, entry, client_auth): (ProxyService, &Entry, sites::ClientAuths),
    (cache, challenges): (Arc<CertCache>, Arc<TlsAlpn01Certificates>),
    manager: &CertManager,
) -> Result<impl Fn(usize, Tasks) -> Arc<Https> + use<>, Error> {
    let acceptor = Arc::new(tls::Acceptor::new(tls::AcceptorParts {
        cache,
        manager: manager.clone(),
        challenges,
        default_name: sites::default_name(&config.sites),
        handshake_timeout: config.limits.handshake_timeout,
        client_auth,
    })?);
    let (trust, has_forwarded) = (Arc::clone(&entry.trust), config.forwarded);
    let limits = config.limits.clone();
    Ok(move |worker, tasks: Tasks| {
        Https::new(HttpsParts {
            acceptor: Arc::clone(&acceptor),
            service: service.for_worker(worker, tasks.clone()),
            limits: limits.clone(),
            tasks,
            trust: Arc::clone(&trust),
            has_forwarded,
        })
    })
}
