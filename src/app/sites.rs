//! From the configured sites to what the two towers know of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::warn;

use super::Error;
use crate::certs::{Ask, CertCache, Certificate, CertificateError, Policy, TlsFiles};
use crate::config::{HeaderConfig, RouteConfig, SiteAction, SiteConfig};
use crate::name::{HostName, HostPattern, NameMap};
use crate::proxy::{Handler, HeaderChange, HeaderChanges, Route, Router, Routes, Site};
use crate::upstream::{Means, Upstream};

pub(super) fn router(sites: &[SiteConfig], means: &Means) -> Result<Router, Error> {
    let mut upstreams = HashMap::new();
    let mut built = Vec::with_capacity(sites.len());
    for site in sites {
        let mut routes = Vec::with_capacity(site.routes.len());
        for route in &site.routes {
            let handler = match &route.action {
                // Routes before the same app share its connections and its load.
                SiteAction::Upstream { addresses, options } => {
                    let upstream = upstreams.entry((addresses, options)).or_insert_with(|| {
                        Arc::new(Upstream::new(addresses.clone(), options.clone(), means))
                    });
                    Handler::Upstream(Arc::clone(upstream))
                }
                SiteAction::Redirect(redirect) => Handler::Redirect(redirect.clone()),
                SiteAction::Respond(fixed) => Handler::Respond(fixed.clone()),
                SiteAction::Files(files) => {
                    std::fs::read_dir(files.root()).map_err(|source| Error::ReadFile {
                        path: files.root().to_owned(),
                        source,
                    })?;
                    Handler::Files(files.clone())
                }
            };
            routes.push(build_route(site, route, handler));
        }
        built.push(Site {
            pattern: site.pattern.clone(),
            aliases: site.aliases.clone(),
            routes: Routes::new(routes),
        });
    }
    Ok(Router::new(built))
}

/// What the site says of header fields holds for each of its routes, before what the route says.
fn build_route(site: &SiteConfig, route: &RouteConfig, handler: Handler) -> Route {
    let changes = |of: fn(&HeaderConfig) -> &Vec<HeaderChange>| {
        let changes = [&site.headers, &route.headers].into_iter().flat_map(of);
        HeaderChanges::new(changes.cloned())
    };
    Route {
        rewrite: route.rewrite.clone(),
        request_headers: changes(|headers| &headers.request),
        response_headers: changes(|headers| &headers.response),
        ..Route::new(route.prefix.clone(), handler)
    }
}

/// Who may have a certificate from an issuer. Sites that bring their own are not among them.
pub(super) fn policies(sites: &[SiteConfig]) -> Result<NameMap<Arc<Policy>>, Error> {
    let mut policies = NameMap::new();
    for site in sites.iter().filter(|site| site.tls.is_none()) {
        let ask = match &site.on_demand {
            Some(options) => Some(Arc::new(Ask::new(options)?)),
            None => None,
        };
        for pattern in site.patterns() {
            let policy = match (&ask, pattern) {
                (Some(ask), HostPattern::Wildcard(_) | HostPattern::Any) => {
                    Policy::on_demand(pattern.clone(), Arc::clone(ask))
                }
                (Some(_), HostPattern::Exact(_)) | (None, _) => Policy::configured(pattern.clone()),
            };
            policies.insert(pattern.clone(), Arc::new(policy));
        }
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
        for pattern in site.patterns() {
            match certificate.verify_for(pattern, SystemTime::now()) {
                Ok(()) => {}
                Err(error @ (CertificateError::Expired(_) | CertificateError::NotYetValid(_))) => {
                    warn!(names = %pattern, file = %files.cert.display(), %error, "certificate is served although clients will refuse it")
                }
                Err(source) => return Err(unusable(pattern, files, source)),
            }
            cache.pin(pattern, Arc::clone(&certificate));
        }
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
