//! One running proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::{error, info};

use super::workers::Workers;
use super::{Error, file_limit, sites};
use crate::certs::challenge::{
    Http01Solver, Http01Tokens, Solvers, TlsAlpn01Certificates, TlsAlpn01Solver,
};
use crate::certs::issuer::{AcmeIssuer, InternalCa, Issuer};
use crate::certs::preflight::Preflight;
use crate::certs::{CertCache, CertManager, Issuers, ManagerParts, Records, Resolver};
use crate::config::{CertificateSource, Config};
use crate::proxy::{ProxyService, Routers, ServiceOptions};
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
            places,
            workers: Workers::count(),
            resolver: sites::resolver(&config.resolver),
            ..Means::new(backends.clone())
        };
        let storage = open_storage(config)?;
        let routers = Routers::new(&sites::router(&config.sites, &means)?, means.workers);
        let cache = Arc::new(CertCache::new(CACHED_CERTIFICATES));
        sites::pin_files(&config.sites, &cache)?;
        let tokens = Arc::new(Http01Tokens::new());
        let challenges = Arc::new(TlsAlpn01Certificates::new());
        let issuers = issuers(config, &storage, (&tokens, &challenges)).await?;
        let policies = sites::policies(&config.sites)?;
        let preflight = preflight(config, &tokens)?;
        let http = Listener::bind(config.listen.http, 1)?;
        let https = Listener::bind(config.listen.https, means.workers)?;
        let (http_address, https_address) = (http[0].address(), https[0].address());

        let limits = config.limits.clone();
        let plain = PlainHttp::new(tokens, Arc::clone(&routers), https_address.port(), limits);
        open_plain(http, &plain, &permits, &connections);
        let manager = CertManager::start(ManagerParts {
            policies,
            issuers,
            records: Records::new(storage),
            cache: Arc::clone(&cache),
            preflight,
            tasks: background.clone(),
        });
        let servers = https_servers(
            config,
            routers,
            (cache, challenges),
            (&manager, &connections),
        )?;
        let doors = https.into_iter().enumerate().map(|(worker, listener)| {
            let tasks = connections.branch();
            let server = servers(worker, tasks.clone());
            let door = Door::new(listener, Arc::clone(&permits), tasks);
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

/// Serves plain HTTP from now on.
fn open_plain(
    listeners: Vec<Listener>,
    plain: &Arc<PlainHttp>,
    permits: &Arc<Semaphore>,
    connections: &Tasks,
) {
    for listener in listeners {
        let door = Door::new(listener, Arc::clone(permits), connections.clone());
        let plain = Arc::clone(plain);
        let serve = move |client, shutdown| Arc::clone(&plain).serve(client, shutdown);
        connections.spawn(door.run(serve));
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
    (tokens, challenges): (&Arc<Http01Tokens>, &Arc<TlsAlpn01Certificates>),
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
    let solvers = Solvers::new(vec![
        Arc::new(Http01Solver::new(Arc::clone(tokens))),
        Arc::new(TlsAlpn01Solver::new(Arc::clone(challenges))),
    ]);
    let public = AcmeIssuer::new(&config.issuers[0], Arc::clone(storage), solvers)?;
    let public: Arc<dyn Issuer> = Arc::new(public);
    Ok(Issuers {
        public,
        internal: Arc::new(internal),
    })
}

fn preflight(config: &Config, tokens: &Arc<Http01Tokens>) -> Result<Option<Preflight>, Error> {
    if !config.preflight.is_on {
        return Ok(None);
    }
    let resolver = Arc::new(Resolver::new(config.resolver.clone()));
    let preflight = Preflight::new(&config.preflight, resolver, Arc::clone(tokens));
    preflight.map(Some).map_err(Error::Preflight)
}

/// What makes the HTTPS server of each worker, all of them over one acceptor and one router.
fn https_servers(
    config: &Config,
    routers: Arc<Routers>,
    (cache, challenges): (Arc<CertCache>, Arc<TlsAlpn01Certificates>),
    (manager, connections): (&CertManager, &Tasks),
) -> Result<impl Fn(usize, Tasks) -> Arc<Https> + use<>, Error> {
    let acceptor = Arc::new(tls::Acceptor::new(tls::AcceptorParts {
        cache,
        manager: manager.clone(),
        challenges,
        default_name: sites::default_name(&config.sites),
        handshake_timeout: config.limits.handshake_timeout,
    })?);
    let options = ServiceOptions {
        head_fields: config.limits.head_fields,
        head_size: config.limits.head_size,
        body_timeout: config.limits.body_timeout,
    };
    let service = ProxyService::new(routers, options, connections.clone());
    let limits = config.limits.clone();
    Ok(move |worker, tasks: Tasks| {
        Https::new(HttpsParts {
            acceptor: Arc::clone(&acceptor),
            service: service.for_worker(worker, tasks.clone()),
            limits: limits.clone(),
            tasks,
        })
    })
}
