//! From the configured sites to what the two towers know of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::warn;

use super::Error;
use crate::certs::{
    Ask, CertCache, Certificate, CertificateError, NameServer, Policy, ResolverOptions, TlsFiles,
};
use crate::config::{SiteAction, SiteConfig};
use crate::name::{HostName, HostPattern, NameMap};
use crate::proxy::{Action, Redirect, Router, Site};
use crate::upstream::{DnsServer, Means, Resolver, Upstream};

pub(super) fn router(sites: &[SiteConfig], means: &Means) -> Result<Router, Error> {
    let mut upstreams = HashMap::new();
    let mut built = Vec::with_capacity(sites.len());
    for site in sites {
        let action = match &site.action {
            // Sites before the same app share its connections and its load.
            SiteAction::Upstream { addresses, options } => {
                let upstream = match upstreams.entry((addresses, options)) {
                    Entry::Occupied(entry) => Arc::clone(entry.get()),
                    Entry::Vacant(entry) => {
                        let built = Upstream::new(addresses.clone(), options.clone(), means);
                        let built = built.map_err(|source| Error::Upstream {
                            site: site.pattern.clone(),
                            source: Box::new(source),
                        });
                        Arc::clone(entry.insert(Arc::new(built?)))
                    }
                };
                Action::Upstream(upstream)
            }
            SiteAction::Redirect { to } => {
                let redirect = Redirect::parse(to.as_str());
                Action::Redirect(redirect.map_err(|source| Error::Redirect {
                    site: site.pattern.clone(),
                    source,
                })?)
            }
        };
        built.push(Site {
            pattern: site.pattern.clone(),
            action,
        });
    }
    Ok(Router::new(built))
}

/// What resolves the hosts of backends: by the servers that certificates are looked after with.
pub(super) fn resolver(options: &ResolverOptions) -> Resolver {
    let servers = options.servers.iter().map(|server| match server {
        NameServer::System => DnsServer::System,
        NameServer::At(address) => DnsServer::At(*address),
    });
    Resolver::new(servers.collect())
}

/// Who may have a certificate from an issuer. Sites that bring their own are not among them.
pub(super) fn policies(sites: &[SiteConfig]) -> Result<NameMap<Arc<Policy>>, Error> {
    let mut policies = NameMap::new();
    for site in sites.iter().filter(|site| site.tls.is_none()) {
        let policy = match &site.on_demand {
            Some(options) => Policy::on_demand(site.pattern.clone(), Arc::new(Ask::new(options)?)),
            None => Policy::configured(site.pattern.clone()),
        };
        policies.insert(site.pattern.clone(), Arc::new(policy));
    }
    Ok(policies)
}

/// Serves the certificates that sites bring. One that has expired is served with a warning: the
/// operator may have nothing better.
pub(super) fn pin_files(sites: &[SiteConfig], cache: &CertCache) -> Result<(), Error> {
    let mut pairs = HashMap::new();
    for site in sites {
        let Some(files) = &site.tls else { continue };
        let certificate = match pairs.entry(files) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => {
                Arc::clone(entry.insert(Arc::new(read_pair(&site.pattern, files)?)))
            }
        };
        match certificate.verify_for(&site.pattern, SystemTime::now()) {
            Ok(()) => {}
            Err(error @ (CertificateError::Expired(_) | CertificateError::NotYetValid(_))) => {
                warn!(names = %site.pattern, file = %files.cert.display(), %error, "certificate is served although clients will refuse it")
            }
            Err(source) => return Err(unusable(&site.pattern, files, source)),
        }
        cache.pin(&site.pattern, certificate);
    }
    Ok(())
}

fn read_pair(site: &HostPattern, files: &TlsFiles) -> Result<Certificate, Error> {
    let (chain, key) = (read(&files.cert)?, read(&files.key)?);
    Certificate::from_pem_pair(&chain, &key).map_err(|source| unusable(site, files, source))
}

fn unusable(site: &HostPattern, files: &TlsFiles, source: CertificateError) -> Error {
    Error::Certificate {
        site: site.clone(),
        path: files.cert.clone(),
        source,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::ReadFile {
        path: path.to_owned(),
        source,
    })
}

/// Whose certificate a client gets that names no host: the site marked as default, else the only
/// one.
pub(super) fn default_name(sites: &[SiteConfig]) -> Option<HostName> {
    let marked = sites.iter().find(|site| site.default);
    let only = sites.first().filter(|_| sites.len() == 1);
    match &marked.or(only)?.pattern {
        HostPattern::Exact(name) => Some(name.clone()),
        HostPattern::Wildcard(_) | HostPattern::Any => None,
    }
}
