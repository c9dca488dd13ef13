//! Who signs certificates for whom, as a configuration wants it.

use std::sync::Arc;

use tracing::info;

use super::grounds::Grounds;
use super::{Error, dns, sites};
use crate::certs::challenge::{DnsOptions, Http01Solver, Solvers, TlsAlpn01Solver};
use crate::certs::issuer::{AcmeIssuer, InternalCa, Issuer};
use crate::certs::preflight::Preflight;
use crate::certs::{IssuerOptions, Issuers, OnCert, Policy, Resolver, Ruleset};
use crate::config::{CertificateSource, Config, SiteConfig};
use crate::name::{HostPattern, NameMap};
use crate::storage::Storage;

/// What one configuration makes of the left tower. What it says as the former one did is the former one's: accounts,
/// answers of ask endpoints and turns of hooks are known on.
#[derive(Debug)]
pub(super) struct Signing {
    resolver: Arc<Resolver>,
    dns: Vec<(HostPattern, Option<DnsOptions>)>,
    solvers: Solvers,
    public: Vec<PublicIssuer>,
    internal: Arc<InternalCa>,
    policies: NameMap<Arc<Policy>>,
    preflight: Option<Arc<Preflight>>,
    on_cert: Option<OnCert>,
}

/// A CA with what its client was made of.
#[derive(Debug)]
struct PublicIssuer {
    options: IssuerOptions,
    others: Vec<Option<String>>,
    root: Option<Vec<u8>>,
    issuer: Arc<dyn Issuer>,
}

/// A configuration and what was made of it.
pub(super) type Former<'a> = Option<(&'a Config, &'a Signing)>;

impl Signing {
    /// Reads the roots of CAs, and asks nobody.
    pub(super) fn build(
        config: &Config,
        grounds: &Grounds,
        former: Former<'_>,
    ) -> Result<Self, Error> {
        let resolver = match former {
            Some((before, known)) if before.resolver == config.resolver => &known.resolver,
            _ => &Arc::new(Resolver::new(config.resolver.clone())),
        };
        let alike = former.filter(|(_, known)| Arc::ptr_eq(&known.resolver, resolver));
        let dns = dns_settings(&config.sites);
        let solvers = match alike {
            Some((_, known)) if known.dns == dns => known.solvers.clone(),
            _ => solvers(config, grounds, resolver)?,
        };
        let same_solvers = alike.filter(|(_, known)| known.dns == dns);
        let public = public_issuers(config, grounds, (&solvers, same_solvers))?;
        let internal = match former {
            Some((before, known)) if before.internal_ca == config.internal_ca => {
                Arc::clone(&known.internal)
            }
            _ => Arc::new(internal_ca(config, &grounds.storage)),
        };
        let issuers = issuers(&public, &internal);
        Ok(Self {
            policies: sites::policies(config, &issuers, former.map(|(_, known)| &known.policies))?,
            preflight: match alike {
                Some((before, known)) if before.preflight == config.preflight => {
                    known.preflight.clone()
                }
                _ => preflight(config, resolver, grounds)?,
            },
            on_cert: match former {
                Some((before, known)) if before.on_cert == config.on_cert => known.on_cert.clone(),
                _ => on_cert(config, grounds),
            },
            resolver: Arc::clone(resolver),
            dns,
            solvers,
            public,
            internal,
        })
    }

    /// Opens this machine's own CA where a site needs it, so that a root that cannot be used is told now, and stops no
    /// proxy that does without.
    pub(super) async fn open(&self, config: &Config, former: Option<&Config>) -> Result<(), Error> {
        if !needs_internal_ca(config) {
            return Ok(());
        }
        self.internal.open().await?;
        if !former.is_some_and(needs_internal_ca) {
            info!(
                root = self.internal.root_location(),
                "local names are signed by this machine's own CA"
            );
        }
        Ok(())
    }

    /// The same as the manager of certificates takes it.
    pub(super) fn rules(&self) -> Ruleset {
        Ruleset {
            policies: self.policies.clone(),
            issuers: issuers(&self.public, &self.internal),
            preflight: self.preflight.clone(),
            on_cert: self.on_cert.clone(),
        }
    }
}

/// The issuers for those who only look at what is stored, or take it back: nothing is proved to a CA.
pub(super) fn stored_issuers(
    config: &Config,
    storage: &Arc<dyn Storage>,
) -> Result<Issuers, Error> {
    // What needs nobody but the operator is all that is known here of how names are proved.
    let solvers = Solvers::default().with_dns(dns::persistent_solvers(&config.sites));
    let public = config.issuers.iter();
    let public = public.map(|options| acme_issuer(config, options, (storage, &solvers)));
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
    (storage, solvers): (&Arc<dyn Storage>, &Solvers),
) -> Result<Arc<dyn Issuer>, Error> {
    let others = other_contacts(config, options);
    let issuer = AcmeIssuer::new(options, &others, Arc::clone(storage), solvers.clone())?;
    Ok(Arc::new(issuer))
}

/// The contacts of the other accounts at the CA of an issuer.
fn other_contacts(config: &Config, issuer: &IssuerOptions) -> Vec<Option<String>> {
    let others = config
        .issuers
        .iter()
        .filter(|other| other.directory == issuer.directory && other.email != issuer.email);
    others.map(|other| other.email.clone()).collect()
}

fn public_issuers(
    config: &Config,
    grounds: &Grounds,
    (solvers, former): (&Solvers, Former<'_>),
) -> Result<Vec<PublicIssuer>, Error> {
    let known = former.map_or(&[][..], |(_, former)| &former.public);
    let mut public = Vec::with_capacity(config.issuers.len());
    for options in &config.issuers {
        let others = other_contacts(config, options);
        // One that cannot be read is told of where the issuer is made.
        let root = options
            .root
            .as_ref()
            .and_then(|root| std::fs::read(root).ok());
        let known = known.iter().find(|known| {
            known.options == *options && known.others == others && known.root == root
        });
        let issuer = match known.filter(|_| options.root.is_none() || root.is_some()) {
            Some(known) => Arc::clone(&known.issuer),
            None => acme_issuer(config, options, (&grounds.storage, solvers))?,
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

fn needs_internal_ca(config: &Config) -> bool {
    let is_used = |site: &SiteConfig| site.certificate_source() == CertificateSource::InternalCa;
    config.sites.iter().any(is_used)
}

/// What the solvers are made of: nothing where no site proves its names in DNS.
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

fn solvers(config: &Config, grounds: &Grounds, resolver: &Arc<Resolver>) -> Result<Solvers, Error> {
    let solvers = Solvers::new(vec![
        Arc::new(Http01Solver::new(Arc::clone(&grounds.tokens))),
        Arc::new(TlsAlpn01Solver::new(Arc::clone(&grounds.challenges))),
    ]);
    let dns = dns::solvers(
        &config.sites,
        resolver,
        (&grounds.records, &grounds.storage),
    )?;
    Ok(solvers.with_dns(dns))
}

fn preflight(
    config: &Config,
    resolver: &Arc<Resolver>,
    grounds: &Grounds,
) -> Result<Option<Arc<Preflight>>, Error> {
    if !config.preflight.is_on {
        return Ok(None);
    }
    let (resolver, tokens) = (Arc::clone(resolver), Arc::clone(&grounds.tokens));
    let preflight = Preflight::new(&config.preflight, resolver, tokens);
    preflight
        .map(|preflight| Some(Arc::new(preflight)))
        .map_err(Error::Preflight)
}

fn on_cert(config: &Config, grounds: &Grounds) -> Option<OnCert> {
    let command = config.on_cert.clone()?;
    Some(OnCert::new(command, grounds.background.clone()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;

    #[test]
    fn another_alias_of_a_site_that_is_proved_in_dns_makes_other_solvers() {
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
