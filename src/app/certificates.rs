//! What obtains and holds certificates, as the configuration wants it.

use std::sync::Arc;

use tracing::{error, info};

use super::file_pairs::FilePairs;
use super::{Error, dns, sites};
use crate::certs::challenge::{
    Http01Solver, Http01Tokens, Solvers, TlsAlpn01Certificates, TlsAlpn01Solver,
};
use crate::certs::issuer::{AcmeIssuer, InternalCa, Issuer};
use crate::certs::preflight::Preflight;
use crate::certs::{
    CertCache, CertManager, Clock, IssuerOptions, Issuers, ManagerParts, OnCert, Policy, Records,
    Resolver,
};
use crate::config::{CertificateSource, Config};
use crate::name::NameMap;
use crate::storage::{FileStorage, Storage};
use crate::tasks::Tasks;

/// How many parsed certificates are held.
const CACHED_CERTIFICATES: usize = 10_000;

/// The left tower before its manager starts: nothing is ordered yet.
#[derive(Debug)]
pub(super) struct Certificates {
    storage: Arc<dyn Storage>,
    cache: Arc<CertCache>,
    tokens: Arc<Http01Tokens>,
    challenges: Arc<TlsAlpn01Certificates>,
    issuers: Issuers,
    policies: NameMap<Arc<Policy>>,
    preflight: Option<Preflight>,
}

impl Certificates {
    /// Reads the operator's own pairs and makes the issuers. `tasks` watches the pairs, `records` removes
    /// DNS records when they are no longer needed.
    pub(super) async fn prepare(
        config: &Config,
        storage: Arc<dyn Storage>,
        (tasks, records): (&Tasks, &Tasks),
    ) -> Result<Self, Error> {
        let cache = Arc::new(CertCache::new(CACHED_CERTIFICATES));
        let pairs = FilePairs::load(&config.sites, Arc::clone(&cache))?;
        tasks.spawn(pairs.watch(tasks.shutdown()));
        let tokens = Arc::new(Http01Tokens::new());
        let challenges = Arc::new(TlsAlpn01Certificates::new());
        let resolver = Arc::new(Resolver::new(config.resolver.clone()));
        let solvers = Solvers::new(vec![
            Arc::new(Http01Solver::new(Arc::clone(&tokens))),
            Arc::new(TlsAlpn01Solver::new(Arc::clone(&challenges))),
        ]);
        let dns = dns::solvers(&config.sites, &resolver, (records, &storage))?;
        let solvers = solvers.with_dns(dns);
        let issuers = issuers(config, &storage, &solvers).await?;
        Ok(Self {
            policies: sites::policies(config, &issuers)?,
            preflight: preflight(config, resolver, &tokens)?,
            storage,
            cache,
            tokens,
            challenges,
            issuers,
        })
    }

    /// What plain HTTP answers http-01 with.
    pub(super) fn tokens(&self) -> &Arc<Http01Tokens> {
        &self.tokens
    }

    /// What HTTPS shows: certificates and challenges.
    pub(super) fn shown(&self) -> (Arc<CertCache>, Arc<TlsAlpn01Certificates>) {
        (Arc::clone(&self.cache), Arc::clone(&self.challenges))
    }

    /// Sees to the certificates from now on: both doors are open.
    pub(super) fn start(self, config: &Config, tasks: &Tasks) -> CertManager {
        CertManager::start(ManagerParts {
            policies: self.policies,
            issuers: self.issuers,
            records: Records::new(self.storage),
            cache: self.cache,
            preflight: self.preflight,
            on_cert: on_cert(config, tasks),
            clock: Clock::system(),
            tasks: tasks.clone(),
        })
    }
}

fn on_cert(config: &Config, tasks: &Tasks) -> Option<OnCert> {
    let command = config.on_cert.clone()?;
    Some(OnCert::new(command, tasks.clone()))
}

/// A full disk does not keep the sites down whose certificates can be read.
pub(super) fn open_storage(config: &Config) -> Result<Arc<dyn Storage>, Error> {
    let storage = FileStorage::open(config.storage.directory())?;
    match storage.probe() {
        Err(error) if error.is_passing() => {
            error!(%error, "nothing can be stored, and no certificate ordered")
        }
        probed => probed?,
    }
    Ok(Arc::new(storage))
}

pub(super) async fn issuers(
    config: &Config,
    storage: &Arc<dyn Storage>,
    solvers: &Solvers,
) -> Result<Issuers, Error> {
    let internal = InternalCa::new(Arc::clone(storage), config.internal_ca.clone());
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
    Ok(Issuers {
        public: public_issuers(config, storage, solvers)?,
        internal: Arc::new(internal),
    })
}

/// The CAs that the configuration names, in its order.
pub(super) fn public_issuers(
    config: &Config,
    storage: &Arc<dyn Storage>,
    solvers: &Solvers,
) -> Result<Vec<Arc<dyn Issuer>>, Error> {
    let mut public: Vec<Arc<dyn Issuer>> = Vec::new();
    for options in &config.issuers {
        let others = other_contacts(config, options);
        let issuer = AcmeIssuer::new(options, &others, Arc::clone(storage), solvers.clone())?;
        public.push(Arc::new(issuer));
    }
    Ok(public)
}

fn preflight(
    config: &Config,
    resolver: Arc<Resolver>,
    tokens: &Arc<Http01Tokens>,
) -> Result<Option<Preflight>, Error> {
    if !config.preflight.is_on {
        return Ok(None);
    }
    let preflight = Preflight::new(&config.preflight, resolver, Arc::clone(tokens));
    preflight.map(Some).map_err(Error::Preflight)
}

/// The contacts of the other accounts at the CA of an issuer.
fn other_contacts(config: &Config, issuer: &IssuerOptions) -> Vec<Option<String>> {
    let others = config
        .issuers
        .iter()
        .filter(|other| other.directory == issuer.directory && other.email != issuer.email);
    others.map(|other| other.email.clone()).collect()
}
