//! From the configured sites to what the two towers know of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::Error;
use crate::certs::issuer::Issuer;
use crate::certs::{Ask, Issuers, NameServer, Policy, ResolverOptions};
use crate::config::{Config, HeaderConfig, RouteConfig, SiteAction, SiteConfig};
use crate::name::{HostName, HostPattern, NameMap};
use crate::proxy::{
    Comforts, Guards, Handler, HeaderChange, HeaderChanges, Route, Router, Routers, Routes, Site,
    Verifier,
};
use crate::tls::ClientAuth;
use crate::upstream::{DnsServer, Means, Resolver, TlsError, Upstream};

/// How each site asks its clients for certificates: nothing where no site does.
pub(super) type ClientAuths = NameMap<Option<Arc<ClientAuth>>>;

/// Reads the CAs of clients. What cannot be read ends the start: a site that asks for certificates is never open to all.
fn client_auths(sites: &[SiteConfig]) -> Result<ClientAuths, Error> {
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
        let auth = auth.map(Arc::new);
        for pattern in site.patterns() {
            auths.insert(pattern.clone(), auth.clone());
        }
    }
    Ok(auths)
}

/// Where requests go, for each runtime, and how sites ask for the certificates of clients.
pub(super) fn routing(
    config: &Config,
    means: &Means,
) -> Result<(Arc<Routers>, ClientAuths), Error> {
    let auths = client_auths(&config.sites)?;
    let router = router(&config.sites, &auths, means)?;
    Ok((Routers::new(&router, means.workers), auths))
}

fn router(sites: &[SiteConfig], auths: &ClientAuths, means: &Means) -> Result<Router, Error> {
    let mut upstreams = HashMap::new();
    let verifier = Arc::new(Verifier::default());
    let mut built = Vec::with_capacity(sites.len());
    for site in sites {
        let mut routes = Vec::with_capacity(site.routes.len());
        for route in &site.routes {
            let handler = match &route.action {
                // Routes before the same app share its connections and its load.
                SiteAction::Upstream { addresses, options } => {
                    let upstream = match upstreams.entry((addresses, options)) {
                        Entry::Occupied(entry) => Arc::clone(entry.get()),
                        Entry::Vacant(entry) => {
                            let built = Upstream::new(addresses.clone(), options.clone(), means);
                            let built = built.map_err(|source| unusable(site, source))?;
                            Arc::clone(entry.insert(Arc::new(built)))
                        }
                    };
                    Handler::Upstream(upstream)
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
        let guards = site.guards.as_deref().map(|options| {
            let guards = Guards::new(options, &verifier, means);
            let guards = guards.map_err(|source| unusable(site, source));
            guards.map(Box::new)
        });
        built.push(Site {
            pattern: site.pattern.clone(),
            aliases: site.aliases.clone(),
            routes: Routes::new(routes),
            guards: guards.transpose()?,
            comforts: Comforts::load(&site.comforts)?,
            client_policy: auths
                .get(&site.pattern)
                .and_then(Option::as_ref)
                .map(|auth| Box::new(auth.policy())),
        });
    }
    Ok(Router::new(built))
}

fn unusable(site: &SiteConfig, source: TlsError) -> Error {
    Error::Upstream {
        site: site.pattern.clone(),
        source: Box::new(source),
    }
}

/// What resolves the hosts of backends: by the servers that certificates are looked after with.
pub(super) fn resolver(options: &ResolverOptions) -> Resolver {
    let servers = options.servers.iter().map(|server| match server {
        NameServer::System => DnsServer::System,
        NameServer::At(address) => DnsServer::At(*address),
    });
    Resolver::new(servers.collect())
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
pub(super) fn policies(config: &Config, issuers: &Issuers) -> Result<NameMap<Arc<Policy>>, Error> {
    let mut policies = NameMap::new();
    for site in config.sites.iter().filter(|site| site.tls.is_none()) {
        let ask = match &site.on_demand {
            Some(options) => Some(Arc::new(Ask::new(options)?)),
            None => None,
        };
        for pattern in site.patterns() {
            let policy = match (&ask, pattern) {
                (Some(ask), HostPattern::Wildcard(_) | HostPattern::Any) => {
                    Policy::on_demand(pattern.clone(), Arc::clone(ask))
                }
                (None, HostPattern::Wildcard(_)) if site.dns.is_some() => {
                    Policy::wildcard(pattern.clone())
                }
                (Some(_), HostPattern::Exact(_)) | (None, _) => Policy::configured(pattern.clone()),
            };
            let policy = match issuer(site, config, issuers) {
                Some(issuer) => policy.issued_by(Arc::clone(issuer)),
                None => policy,
            };
            policies.insert(pattern.clone(), Arc::new(policy));
        }
    }
    Ok(policies)
}

/// The issuer that the site names.
fn issuer<'a>(
    site: &SiteConfig,
    config: &Config,
    issuers: &'a Issuers,
) -> Option<&'a Arc<dyn Issuer>> {
    let name = site.issuer.as_ref()?;
    let index = config
        .issuers
        .iter()
        .position(|issuer| issuer.name == *name);
    Some(index.map_or(&issuers.internal, |index| &issuers.public[index]))
}

/// Whose certificate a client gets that names no host: the site marked as default, else the only
/// one, else the only address among them, since clients name no host when they want an address.
pub(super) fn default_name(sites: &[SiteConfig]) -> Option<HostName> {
    let marked = sites.iter().find(|site| site.default);
    let only = sites.first().filter(|_| sites.len() == 1);
    let is_address = |site: &&SiteConfig| matches!(&site.pattern, HostPattern::Exact(name) if name.ip().is_some());
    let mut addresses = sites.iter().filter(is_address);
    let address = addresses.next().filter(|_| addresses.next().is_none());
    match &marked.or(only).or(address)?.pattern {
        HostPattern::Exact(name) => Some(name.clone()),
        HostPattern::Wildcard(_) | HostPattern::Any => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    #[test]
    fn a_client_that_names_no_host_gets_the_default_the_only_site_or_the_only_address() {
        for (sites, expected) in [
            ("\"a.test\" = \"1\"", Some("a.test")),
            ("\"a.test\" = \"1\"\n\"b.test\" = \"1\"", None),
            (
                "\"a.test\" = \"1\"\n\"203.0.113.7\" = \"1\"",
                Some("203.0.113.7"),
            ),
            ("\"203.0.113.7\" = \"1\"\n\"2001:db8::7\" = \"1\"", None),
            (
                "\"203.0.113.7\" = \"1\"\n\"a.test\" = { upstream = \"1\", default = true }",
                Some("a.test"),
            ),
        ] {
            let text = format!("storage = \"file:/data\"\n[sites]\n{sites}\n");
            let config =
                Config::from_proxyfile(std::path::Path::new("Proxyfile"), &text, &Flags::default());
            let name = default_name(&config.unwrap().sites);
            assert_eq!(name.as_ref().map(HostName::as_str), expected, "{sites}");
        }
    }
}
