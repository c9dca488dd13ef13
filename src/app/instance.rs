//! One running proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tracing::{error, info};

use super::workers::Workers;
use super::{Error, file_limit, sites};
use crate::certs::challenge::{Http01Solver, Http01Tokens};
use crate::certs::issuer::{AcmeIssuer, InternalCa, Issuer};
use crate::certs::{CertCache, CertManager, Clock, Issuers, ManagerParts, Records};
use crate::config::{CertificateSource, Config};
use crate::proxy::{ProxyService, Router, ServiceOptions};
use crate::server::{Door, Https, HttpsParts, Listener, PlainHttp};
use crate::storage::{FileStorage, Storage};
use crate::tasks::Tasks;
use crate::tls;
use crate::upstream::Means;

/// How many parsed certificates are held.
const CACHED_CERTIFICATES: usize = 10_000;

/// A running proxy: both doors are open when it exists.
#[derive(Debug)]
pub struct App {
    http: SocketAddr,
    https: SocketAddr,
    manager: CertManager,
    connections: Tasks,
    backends: Tasks,
    background: Tasks,
    workers: Workers,
    drain_timeout: Duration,
}

impl App {
    /// Builds everything from the ground up, opens the doors last, and then sees to the certificates.
    pub async fn start(config: &Config) -> Result<Self, Error> {
        let fitting = file_limit::raise(Workers::count());
        let permits = Arc::new(Semaphore::new(fitting));
        // One HTTP/2 client can keep many backend connections busy: they have a bound of their own.
        let places = Arc::new(Semaphore::new(fitting));
        let (connections, backends) = (Tasks::new(), Tasks::new());
        let background = Tasks::at_home();
        let means = Means {
            tasks: backends.clone(),
            places,
            workers: Workers::count(),
        };
        let storage = open_storage(config)?;
        let router = sites::router(&config.sites, &means)?;
        let router = Arc::new(ArcSwap::from_pointee(router));
        let cache = Arc::new(CertCache::new(CACHED_CERTIFICATES));
        sites::pin_files(&config.sites, &cache)?;
        let tokens = Arc::new(Http01Tokens::new());
        let issuers = issuers(config, &storage, &tokens).await?;
        let policies = sites::policies(&config.sites)?;
        let http = Listener::bind(config.listen.http, 1)?;
        let https = Listener::bind(config.listen.https, means.workers)?;
        let (http_address, https_address) = (http[0].address(), https[0].address());

        let limits = config.limits.clone();
        let plain = PlainHttp::new(tokens, Arc::clone(&router), https_address.port(), limits);
        for listener in http {
            let door = Door::new(listener, Arc::clone(&permits), connections.clone());
            let plain = Arc::clone(&plain);
            let serve = move |client, shutdown| Arc::clone(&plain).serve(client, shutdown);
            connections.spawn(door.run(serve));
        }
        let manager = CertManager::start(ManagerParts {
            policies,
            issuers,
            records: Records::new(storage),
            cache: Arc::clone(&cache),
            clock: Clock::system(),
            tasks: background.clone(),
        });
        let servers = https_servers(config, router, cache, (&manager, &connections))?;
        let doors = https.into_iter().enumerate().map(|(worker, listener)| {
            let server = servers(worker);
            let door = Door::new(listener, Arc::clone(&permits), connections.clone());
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

    /// Takes nothing new, lets what runs finish within the drain's time, and returns how many
    /// connections were cut. Orders are abandoned: they are taken up at the next start.
    pub async fn stop(self) -> usize {
        self.background.stop();
        let cut = self.connections.drain(self.drain_timeout).await;
        self.backends.drain(Duration::ZERO).await;
        self.background.drain(Duration::ZERO).await;
        self.workers.halt();
        cut
    }
}

/// A full disk does not keep the sites down whose certificates can be read.
fn open_storage(config: &Config) -> Result<Arc<dyn Storage>, Error> {
    let storage = FileStorage::open(config.storage.directory())?;
    match storage.probe() {
        Err(error) if error.is_passing() => {
            error!(%error, "nothing can be stored, and no certificate ordered")
        }
        probed => probed?,
    }
    Ok(Arc::new(storage))
}

async fn issuers(
    config: &Config,
    storage: &Arc<dyn Storage>,
    tokens: &Arc<Http01Tokens>,
) -> Result<Issuers, Error> {
    let internal = InternalCa::new(Arc::clone(storage));
    let is_used = |site: &crate::config::SiteConfig| {
        site.certificate_source() == CertificateSource::InternalCa
    };
    // A root that cannot be used is told at the start, and stops no proxy that does without.
    if config.sites.iter().any(is_used) {
        internal.open().await?;
        info!(
            root = internal.root_location(),
            "local names are signed by this machine's own CA"
        );
    }
    let solver = Http01Solver::new(Arc::clone(tokens));
    let public = AcmeIssuer::new(&config.issuers[0], Arc::clone(storage), solver)?;
    let public: Arc<dyn Issuer> = Arc::new(public);
    Ok(Issuers {
        public,
        internal: Arc::new(internal),
    })
}

/// What makes the HTTPS server of each worker, all of them over one acceptor and one router.
fn https_servers(
    config: &Config,
    router: Arc<ArcSwap<Router>>,
    cache: Arc<CertCache>,
    (manager, connections): (&CertManager, &Tasks),
) -> Result<impl Fn(usize) -> Arc<Https> + use<>, Error> {
    let acceptor = Arc::new(tls::Acceptor::new(tls::AcceptorParts {
        cache,
        manager: manager.clone(),
        default_name: sites::default_name(&config.sites),
        handshake_timeout: config.limits.handshake_timeout,
    })?);
    let options = ServiceOptions {
        head_fields: config.limits.head_fields,
        head_size: config.limits.head_size,
        body_timeout: config.limits.body_timeout,
    };
    let service = ProxyService::new(router, options, connections.clone());
    let (limits, tasks) = (config.limits.clone(), connections.clone());
    Ok(move |worker| {
        Https::new(HttpsParts {
            acceptor: Arc::clone(&acceptor),
            service: service.for_worker(worker),
            limits: limits.clone(),
            tasks: tasks.clone(),
        })
    })
}
