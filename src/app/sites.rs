//! From the configured sites to what the two towers know of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::warn;

use super::Error;
use crate::certs::{Ask, CertCache, Certificate, CertificateError, Policy, TlsFiles};
use crate::config::{SiteAction, SiteConfig};
use crate::name::{HostName, HostPattern, NameMap};
use crate::proxy::{Action, Redirect, Router, Site};
use crate::tls::ClientAuth;
use crate::upstream::{Means, Upstream};

/// How each site asks its clients for certificates: nothing where no site does.
pub(super) type ClientAuths = NameMap<Option<Arc<ClientAuth>>>;

/// Reads the CAs of clients. What cannot be read ends the start: a site that asks for certificates is never open to all.
pub(super) fn client_auths(sites: &[SiteConfig]) -> Result<ClientAuths, Error> {
    let mut auths = NameMap::new();
    if sites.iter().all(|site| site.client_auth.is_none()) {
        return Ok(auths);
    }
    for site in sites {
        let auth = site.client_auth.as_ref().map(ClientAuth::load);
        let auth = auth.transpose().map_err(|source| Error::ClientAuth {
            site: site.pattern.clone(),
            source,
        })?;
        auths.insert(site.pattern.clone(), auth.map(Arc::new));
    }
    Ok(auths)
}

pub(super) fn router(
    sites: &[SiteConfig],
    auths: &ClientAuths,
    means: &Means,
) -> Result<Router, Error> {
    let mut upstreams = HashMap::new();
    let mut built = Vec::with_capacity(sites.len());
    for site in sites {
        let action = match &site.action {
            // Sites before the same app share its connections and its load.
            SiteAction::Upstream { addresses, options } => {
                let upstream = upstreams.entry((addresses, options)).or_insert_with(|| {
                    Arc::new(Upstream::new(addresses.clone(), options.clone(), means))
                });
                Action::Upstream(Arc::clone(upstream))
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
            client_policy: auths
                .get(&site.pattern)
                .and_then(Option::as_ref)
                .map(|auth| Box::new(auth.policy())),
        });
    }
    Ok(Router::new(built))
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
