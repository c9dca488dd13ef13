//! Everything of one configuration that has to do with the issuance of certificates: issuers, solvers, policies, preflight.

use std::sync::Arc;

use tracing::info;

use super::dns01;
use super::policies::policies;
use crate::app::Error;
use crate::app::shared_state::SharedState;
use crate::certs::challenge::{DnsOptions, Http01Solver, Solvers, TlsAlpn01Solver};
use crate::certs::issuer::{AcmeIssuer, InternalCa, Issuer};
use crate::certs::preflight::Preflight;
use crate::certs::{IssuerOptions, Issuers, OnCert, Policy, Resolver, Ruleset};
use crate::config::{Config, SiteConfig};
use crate::name::{HostPattern, NameMap};
use crate::storage::Storage;

/// The left tower of one configuration. Parts with the same settings as in the former configuration are carried over, with
/// their accounts, answers of ask endpoints and queues of DNS hooks.
#[derive(Debug)]
pub(in crate::app) struct IssuanceSetup {
    resolver: Arc<Resolver>,
    dns: Vec<(HostPattern, Option<DnsOptions>)>,
    solvers: Solvers,
    public: Vec<PublicIssuer>,
    internal: Arc<InternalCa>,
    policies: NameMap<Arc<Policy>>,
    preflight: Option<Arc<Preflight>>,
    on_cert: Option<OnCert>,
}

/// A CA, and what its client was built from.
#[derive(Debug)]
struct PublicIssuer {
    options: IssuerOptions,
    others: Vec<Option<String>>,
    root: Option<Vec<u8>>,
    issuer: Arc<dyn Issuer>,
}

/// The former configuration, and what was built from it.
#[derive(Clone, Copy)]
pub(in crate::app) struct FormerIssuance<'a> {
    pub(in crate::app) config: &'a Config,
    pub(in crate::app) issuance: &'a IssuanceSetup,
}

impl IssuanceSetup {
    /// Reads the root certificates of CAs. Sends no request to them.
    pub(in crate::app) fn build(
        config: &Config,
        shared: &SharedState,
        former: Option<FormerIssuance<'_>>,
    ) -> Result<Self, Error> {
        let resolver = match former {
            Some(former) if former.config.resolver == config.resolver => &former.issuance.resolver,
            _ => &Arc::new(Resolver::new(config.resolver.clone())),
        };
        let same_resolver =
            former.filter(|former| Arc::ptr_eq(&former.issuance.resolver, resolver));
        let dns = dns_settings(&config.sites);
        let same_solvers = same_resolver.filter(|former| former.issuance.dns == dns);
        let solvers = match same_solvers {
            Some(former) => former.issuance.solvers.clone(),
            None => solvers(config, shared, resolver)?,
        };
        let known = same_solvers.map_or(&[][..], |former| &former.issuance.public);
        let public = public_issuers(config, &shared.storage, &solvers, known)?;
        let internal = match former {
            Some(former) if former.config.internal_ca == config.internal_ca => {
                Arc::clone(&former.issuance.internal)
            }
            _ => Arc::new(internal_ca(config, &shared.storage)),
        };
        let issuers = issuers(&public, &internal);
        Ok(Self {
            policies: policies(
                config,
                &issuers,
                former.map(|former| &former.issuance.policies),
            )?,
            preflight: match same_resolver {
                Some(former) if former.config.preflight == config.preflight => {
                    former.issuance.preflight.clone()
                }
                _ => preflight(config, resolver, shared)?,
            },
            on_cert: match former {
                Some(former) if former.config.on_cert == config.on_cert => {
                    former.issuance.on_cert.clone()
                }
                _ => on_cert(config, shared),
            },
            resolver: Arc::clone(resolver),
            dns,
            solvers,
            public,
            internal,
        })
    }

    /// Opens the internal CA if a site needs it. A root that cannot be used is then reported at once, and does not stop a proxy
    /// that does without.
    pub(in crate::app) async fn open(
        &self,
        config: &Config,
        former: Option<&Config>,
    ) -> Result<(), Error> {
        if !config.needs_internal_ca() {
            return Ok(());
        }
        self.internal.open().await?;
        if !former.is_some_and(Config::needs_internal_ca) {
            info!(
                root = self.internal.root_location(),
                "the internal CA signs certificates for local names"
            );
        }
        Ok(())
    }

    /// Returns the rules for the manager of certificates.
    pub(in crate::app) fn rules(&self) -> Ruleset {
        Ruleset {
            policies: self.policies.clone(),
            issuers: issuers(&self.public, &self.internal),
            preflight: self.preflight.clone(),
            on_cert: self.on_cert.clone(),
        }
    }
}

/// Returns the issuers for commands that only read stored certificates or revoke them. They cannot solve challenges.
pub(in crate::app) fn stored_issuers(
    config: &Config,
    storage: &Arc<dyn Storage>,
) -> Result<Issuers, Error> {
    // Persistent records are known all the same, since reports show them.
    let solvers = Solvers::default().with_dns(dns01::persistent_solvers(&config.sites));
    let public = config.issuers.iter();
    let public = public.map(|options| acme_issuer(config, options, storage, &solvers));
    Ok(Issuers {
        public: public.collect::<Result<_, _>>()?,
        internal: Arc::new(internal_ca(config, storage)),
    })
}

fn internal_ca(config: &Config, storage: &Arc<dyn Storage>) -> InternalCa {
    InternalCa::new(Arc::clone(storage), config.internal_ca.clone())
}

fn acme_issuer(
    config: &Config,
    options: &IssuerOptions,
    storage: &Arc<dyn Storage>,
    solvers: &Solvers,
) -> Result<Arc<dyn Issuer>, Error> {
    let others = other_contacts(config, options);
    let issuer = AcmeIssuer::new(options, &others, Arc::clone(storage), solvers.clone())?;
    Ok(Arc::new(issuer))
}

/// Returns the contacts of the other accounts at the CA of an issuer.
fn other_contacts(config: &Config, issuer: &IssuerOptions) -> Vec<Option<String>> {
    let others = config
        .issuers
        .iter()
        .filter(|other| other.directory == issuer.directory && other.email != issuer.email);
    others.map(|other| other.email.clone()).collect()
}

fn public_issuers(
    config: &Config,
    storage: &Arc<dyn Storage>,
    solvers: &Solvers,
    known: &[PublicIssuer],
) -> Result<Vec<PublicIssuer>, Error> {
    let mut public = Vec::with_capacity(config.issuers.len());
    for options in &config.issuers {
        let others = other_contacts(config, options);
        // A root that cannot be read is reported by `AcmeIssuer::new`.
        let root = options
            .root
            .as_ref()
            .and_then(|root| std::fs::read(root).ok());
        let known = known.iter().find(|known| {
            known.options == *options && known.others == others && known.root == root
        });
        let issuer = match known.filter(|_| options.root.is_none() || root.is_some()) {
            Some(known) => Arc::clone(&known.issuer),
            None => acme_issuer(config, options, storage, solvers)?,
        };
        public.push(PublicIssuer {
            options: options.clone(),
            others,
            root,
            issuer,
        });
    }
    Ok(public)
}

fn issuers(public: &[PublicIssuer], internal: &Arc<InternalCa>) -> Issuers {
    let public = public.iter().map(|known| Arc::clone(&known.issuer));
    Issuers {
        public: public.collect(),
        internal: Arc::<InternalCa>::clone(internal),
    }
}

/// Returns the settings that the solvers are built from. Empty if no site uses dns-01.
fn dns_settings(sites: &[SiteConfig]) -> Vec<(HostPattern, Option<DnsOptions>)> {
    if sites.iter().all(|site| site.dns.is_none()) {
        return Vec::new();
    }
    let settings = sites.iter().flat_map(|site| {
        let patterns = site.patterns();
        patterns.map(|pattern| (pattern.clone(), site.dns.clone()))
    });
    settings.collect()
}

fn solvers(
    config: &Config,
    shared: &SharedState,
    resolver: &Arc<Resolver>,
) -> Result<Solvers, Error> {
    let solvers = Solvers::new(vec![
        Arc::new(Http01Solver::new(Arc::clone(&shared.tokens))),
        Arc::new(TlsAlpn01Solver::new(Arc::clone(&shared.challenges))),
    ]);
    let dns = dns01::solvers(&config.sites, resolver, shared)?;
    Ok(solvers.with_dns(dns))
}

fn preflight(
    config: &Config,
    resolver: &Arc<Resolver>,
    shared: &SharedState,
) -> Result<Option<Arc<Preflight>>, Error> {
    if !config.preflight.is_on {
        return Ok(None);
    }
    let (resolver, tokens) = (Arc::clone(resolver), Arc::clone(&shared.tokens));
    let preflight = Preflight::new(&config.preflight, resolver, tokens);
    preflight
        .map(|preflight| Some(Arc::new(preflight)))
        .map_err(Error::Preflight)
}

fn on_cert(config: &Config, shared: &SharedState) -> Option<OnCert> {
    let command = config.on_cert.clone()?;
    Some(OnCert::new(command, shared.background.clone()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;

    #[test]
    fn another_alias_of_a_site_with_dns01_changes_the_solver_settings() {
        let settings = |aliases: &str| {
            let text = format!(
                "storage = \"file:/data\"\n[sites.\"*.example.org\"]\nupstream = \"1\"\ndns = \"persist\"\naliases = [{aliases}]\n"
            );
            let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
            dns_settings(&config.unwrap().sites)
        };
        let one = settings("\"example.net\"");
        assert_eq!(one, settings("\"example.net\""));
        assert_ne!(one, settings("\"example.net\", \"*.example.net\""));
    }
}
