//! The right tower of one configuration: its router, its upstreams, and the TLS rules of its sites.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::problems::WatchedUpstream;
use crate::config::{HeaderConfig, RouteConfig, SiteAction, SiteConfig};
use crate::figures::SiteFigures;
use crate::listener_names::ListenerNames;
use crate::name::{HostPattern, NameMap};
use crate::proxy::{
    GuardOptions, Guards, Handler, HashingLimit, HeaderChange, HeaderChanges, PathPrefix, Route,
    RouteGuards, Router, Routes, Site, SiteFeatures,
};
use crate::tasks::Tasks;
use crate::tls::{ClientAuth, SiteRules, TlsVersion};
use crate::upstream::{self, Address, TlsError, Upstream, UpstreamContext};

/// The TLS rules of each site. Empty if all sites have the default rules, and are served on all listeners.
pub(super) type TlsRules = NameMap<SiteRules>;

/// The router of one configuration, and what it was built from.
#[derive(Debug, Default)]
pub(super) struct Routing {
    pub(super) router: Router,
    pub(super) tls: TlsRules,
    upstreams: Upstreams,
    hashing_limit: Arc<HashingLimit>,
}

/// Upstreams by their settings.
type Upstreams = HashMap<(Vec<Address>, upstream::Options), Arc<Upstream>>;

impl Routing {
    /// Builds the router of `sites`. Upstreams and guards with the same settings as in `former` keep their connections and
    /// counts, and so do the backends of changed upstreams. Fails on unreadable files: a site that requires client
    /// certificates must never be open to all clients. Blocks, and needs a runtime for health checks.
    pub(super) fn build(
        sites: &[SiteConfig],
        names: &ListenerNames,
        context: &UpstreamContext,
        former: &Self,
    ) -> Result<Self, Error> {
        let mut builder = Builder {
            tls: tls_rules(sites, names)?,
            names,
            upstreams: HashMap::new(),
            context,
            former,
            by_address: by_address(&former.upstreams),
        };
        let sites = sites.iter().map(|site| builder.site(site));
        let sites = sites.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            router: Router::new(sites),
            tls: builder.tls,
            upstreams: builder.upstreams,
            hashing_limit: Arc::clone(&former.hashing_limit),
        })
    }
}

impl Routing {
    /// Returns the upstreams with the sites that use them.
    pub(super) fn watched_upstreams(&self, sites: &[SiteConfig]) -> Vec<WatchedUpstream> {
        let mut users: HashMap<(&[Address], &upstream::Options), Vec<String>> = HashMap::new();
        for site in sites {
            for route in &site.routes {
                if let SiteAction::Upstream { addresses, options } = &route.action {
                    let names = users.entry((addresses, options)).or_default();
                    let name = site.pattern.to_string();
                    if names.last() != Some(&name) {
                        names.push(name);
                    }
                }
            }
        }
        let watched = self
            .upstreams
            .iter()
            .filter_map(|((addresses, options), upstream)| {
                Some(WatchedUpstream {
                    upstream: Arc::clone(upstream),
                    addresses: addresses.iter().map(ToString::to_string).collect(),
                    sites: users.remove(&(addresses.as_slice(), options))?,
                })
            });
        watched.collect()
    }
}

impl Routing {
    /// Closes the tunnels of the routes that `next` does not have any more, after `delay`. Their requests run on.
    pub(super) fn close_removed(&self, next: &Self, delay: Duration, tasks: &Tasks) {
        let removed = self.removed(next);
        if removed.is_empty() {
            return;
        }
        tasks.spawn(async move {
            sleep(delay).await;
            for tunnels in removed {
                tunnels.cancel();
            }
        });
    }

    fn removed(&self, next: &Self) -> Vec<CancellationToken> {
        let sites = self.router.sites().iter();
        let routes = sites.flat_map(|site| site.routes.iter().map(move |route| (site, route)));
        let removed = routes.filter(|(site, route)| {
            is_forwarded(route) && next.forwarded(&site.pattern, &route.prefix).is_none()
        });
        removed
            .map(|(_, route)| route.tunnels_end.clone())
            .collect()
    }

    /// Returns the route with exactly this prefix of the site with exactly this pattern, if it leads to backends.
    fn forwarded(&self, pattern: &HostPattern, prefix: &PathPrefix) -> Option<&Route> {
        let site = self.router.get(pattern);
        let site = site.filter(|site| site.pattern == *pattern)?;
        site.routes.get(prefix).filter(|route| is_forwarded(route))
    }
}

fn is_forwarded(route: &Route) -> bool {
    matches!(route.handler, Handler::Upstream(_))
}

fn tls_rules(sites: &[SiteConfig], names: &ListenerNames) -> Result<TlsRules, Error> {
    let mut rules = NameMap::new();
    let is_plain = |site: &SiteConfig| {
        site.client_auth.is_none() && site.min_tls == TlsVersion::Tls12 && !site.early_data
    };
    if names.are_all_default() && sites.iter().all(is_plain) {
        return Ok(rules);
    }
    for site in sites {
        let auth = site.handshake_client_auth();
        let auth = auth.as_ref().map(ClientAuth::load);
        let auth = auth.transpose().map_err(|source| Error::ClientAuth {
            site: site.pattern.clone(),
            source,
        })?;
        let wanted = SiteRules {
            min_version: site.min_tls,
            client_auth: auth.map(Arc::new),
            listeners: names.set(&site.listen),
            early_data: site.takes_early_data(),
        };
        for pattern in site.patterns() {
            rules.insert(pattern.clone(), wanted.clone());
        }
    }
    Ok(rules)
}

struct Builder<'a> {
    tls: TlsRules,
    names: &'a ListenerNames,
    upstreams: Upstreams,
    context: &'a UpstreamContext,
    former: &'a Routing,
    /// The former upstreams by the addresses of their backends.
    by_address: HashMap<&'a Address, Vec<&'a Arc<Upstream>>>,
}

impl Builder<'_> {
    fn site(&mut self, site: &SiteConfig) -> Result<Site, Error> {
        let guards = self.guards(site)?;
        let mut routes = Vec::with_capacity(site.routes.len());
        for route in &site.routes {
            let guards = self.route_guards(site, route, guards.as_deref())?;
            let handler = self.handler(site, &route.action)?;
            let former = self.former.forwarded(&site.pattern, &route.prefix);
            let tunnels_end = former.map(|former| former.tunnels_end.clone());
            routes.push(Route {
                guards,
                tunnels_end: tunnels_end.unwrap_or_default(),
                ..build_route(site, route, handler)
            });
        }
        let rules = self.tls.get(&site.pattern);
        let auth = rules.and_then(|rules| rules.client_auth.as_ref());
        Ok(Site {
            pattern: site.pattern.clone(),
            aliases: site.aliases.clone(),
            listeners: self.names.set(&site.listen),
            routes: Routes::new(routes),
            guards,
            features: SiteFeatures::load(&site.features)?,
            client_policy: auth.map(|auth| Box::new(auth.policy())),
            needs_tls13: site.min_tls == TlsVersion::Tls13,
            http: site.http,
            figures: self.figures(site),
        })
    }

    /// Returns the figures of the site, which belong to its name: a reload keeps them, whatever else changes.
    fn figures(&self, site: &SiteConfig) -> Arc<SiteFigures> {
        let former = self.former.router.get(&site.pattern);
        let former = former.filter(|former| former.pattern == site.pattern);
        match former {
            Some(former) => Arc::clone(&former.figures),
            None => Arc::new(SiteFigures::new(self.context.workers)),
        }
    }

    fn handler(&mut self, site: &SiteConfig, action: &SiteAction) -> Result<Handler, Error> {
        Ok(match action {
            SiteAction::Upstream { addresses, options } => {
                let key = (addresses.clone(), options.clone());
                let upstream = self.upstream(key);
                Handler::Upstream(upstream.map_err(|source| unusable(site, source))?)
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
        })
    }

    /// Returns the upstream with these settings. Routes with the same settings share an upstream.
    fn upstream(
        &mut self,
        key: (Vec<Address>, upstream::Options),
    ) -> Result<Arc<Upstream>, TlsError> {
        if let Some(known) = self.upstreams.get(&key) {
            return Ok(Arc::clone(known));
        }
        let upstream = match self.former.upstreams.get(&key) {
            Some(former) if former.is_current(self.context)? => Arc::clone(former),
            _ => {
                let old = self.former_of(&key.0);
                let (addresses, options) = key.clone();
                let upstream = Upstream::carrying_over(&old, addresses, options, self.context);
                Arc::new(upstream?)
            }
        };
        self.upstreams.insert(key, Arc::clone(&upstream));
        Ok(upstream)
    }

    /// Returns the former upstreams with one of these addresses.
    fn former_of(&self, addresses: &[Address]) -> Vec<Arc<Upstream>> {
        let mut old: Vec<Arc<Upstream>> = Vec::new();
        for upstream in addresses
            .iter()
            .filter_map(|it| self.by_address.get(it))
            .flatten()
        {
            if !old.iter().any(|known| Arc::ptr_eq(known, upstream)) {
                old.push(Arc::clone(upstream));
            }
        }
        old
    }

    fn guards(&self, site: &SiteConfig) -> Result<Option<Arc<Guards>>, Error> {
        let former = self.former.router.get(&site.pattern);
        let former = former.and_then(|former| former.guards.as_deref());
        let options = site.guards.as_deref();
        options
            .map(|options| self.build_guards(site, options, former.as_slice()))
            .transpose()
    }

    /// Builds the guards of a route. It shares those with the same options as in the site's, so that a rate limit that it
    /// inherits counts the requests of the whole site.
    fn route_guards(
        &self,
        site: &SiteConfig,
        route: &RouteConfig,
        of_site: Option<&Guards>,
    ) -> Result<RouteGuards, Error> {
        let Some(options) = route.guards.as_deref() else {
            return Ok(RouteGuards::OfSite);
        };
        if *options == GuardOptions::default() {
            return Ok(RouteGuards::Own(None));
        }
        let former = self.former.router.get(&site.pattern);
        let mut former = former.into_iter().flat_map(|site| site.routes.iter());
        let former = former.find(|former| former.prefix == route.prefix);
        let former = match former.map(|former| &former.guards) {
            Some(RouteGuards::Own(guards)) => guards.as_deref(),
            Some(RouteGuards::OfSite) | None => None,
        };
        let previous: Vec<&Guards> = of_site.into_iter().chain(former).collect();
        let guards = self.build_guards(site, options, &previous)?;
        Ok(RouteGuards::Own(Some(guards)))
    }

    fn build_guards(
        &self,
        site: &SiteConfig,
        options: &GuardOptions,
        previous: &[&Guards],
    ) -> Result<Arc<Guards>, Error> {
        let limit = &self.former.hashing_limit;
        let guards = Guards::carrying_over(previous, options, limit, self.context);
        guards
            .map(Arc::new)
            .map_err(|source| unusable(site, source))
    }
}

fn by_address(upstreams: &Upstreams) -> HashMap<&Address, Vec<&Arc<Upstream>>> {
    let mut by_address: HashMap<_, Vec<_>> = HashMap::new();
    for ((addresses, _), upstream) in upstreams {
        for address in addresses {
            by_address.entry(address).or_default().push(upstream);
        }
    }
    by_address
}

fn unusable(site: &SiteConfig, source: TlsError) -> Error {
    Error::Upstream {
        site: site.pattern.clone(),
        source: Box::new(source),
    }
}

/// Builds a route. The header changes of the site apply before those of the route.
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
