//! The router, which finds the site that serves a host.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::http_mode::HttpMode;
use super::routes::{Route, RouteGuards, Routes};
use crate::figures::SiteFigures;
use crate::listener_names::{ListenerId, ListenerSet};
use crate::name::{HostPattern, NameMap};
use crate::proxy::error::Error;
use crate::proxy::guards::Guards;
use crate::proxy::request::{ClientPolicy, ConnInfo};
use crate::proxy::site_features::SiteFeatures;

/// A site: all that is served under one host pattern and its aliases.
#[derive(Debug)]
pub struct Site {
    /// Hosts that the site serves.
    pub pattern: HostPattern,
    /// More hosts that the site serves in the same way.
    pub aliases: Vec<HostPattern>,
    /// Listeners on which the site is served. On all others, its hosts are unknown.
    pub listeners: ListenerSet,
    /// Routes of the site's requests.
    pub routes: Routes,
    /// Access control of all paths whose route has none of its own, if the site has any.
    pub guards: Option<Arc<Guards>>,
    /// Features beyond routes and guards, if the site has any.
    pub features: Option<Box<SiteFeatures>>,
    /// Policy by which clients are asked for certificates. Connections under another policy do not reach the site.
    pub client_policy: Option<Box<ClientPolicy>>,
    /// Whether only connections with TLS 1.3 reach the site.
    pub needs_tls13: bool,
    /// Whether the site is served over TLS, over plain HTTP or over both.
    pub http: HttpMode,
    /// Figures of the site's requests. A reload keeps those of a site with the same pattern.
    pub figures: Arc<SiteFigures>,
}

impl Site {
    /// Creates a site of routes, or of one handler for all paths.
    #[must_use]
    pub fn new(pattern: HostPattern, routes: impl Into<Routes>) -> Self {
        Self {
            pattern,
            aliases: Vec::new(),
            listeners: ListenerSet::default(),
            routes: routes.into(),
            guards: None,
            features: None,
            client_policy: None,
            needs_tls13: false,
            http: HttpMode::default(),
            figures: Arc::default(),
        }
    }

    /// Access control of a request with this route, or of one without a route.
    pub(crate) fn guards_of<'s>(&'s self, route: Option<&'s Route>) -> Option<&'s Guards> {
        match route.map(|route| &route.guards) {
            Some(RouteGuards::Own(guards)) => guards.as_deref(),
            Some(RouteGuards::OfSite) | None => self.guards.as_deref(),
        }
    }

    /// Strict-Transport-Security of the response to a request with these fields, if the client's own connection uses TLS.
    pub(crate) fn hsts(&self, conn: &ConnInfo, headers: &HeaderMap) -> Option<HeaderValue> {
        let hsts = self.guards.as_deref().and_then(Guards::hsts)?;
        conn.is_secure(headers).then_some(hsts)
    }

    /// `true` if the site's requests are written to the access log.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.features
            .as_ref()
            .is_none_or(|features| features.is_logged())
    }
}

/// All sites, as an immutable snapshot that is swapped whole. Clones are cheap and share the snapshot.
#[derive(Clone, Debug, Default)]
pub struct Router {
    sites: Arc<Sites>,
}

#[derive(Debug, Default)]
struct Sites {
    sites: Vec<Site>,
    names: NameMap<usize>,
}

impl Router {
    /// Creates a router of these sites. Of two sites with the same pattern, the last one is used.
    #[must_use]
    pub fn new(sites: impl IntoIterator<Item = Site>) -> Self {
        let sites: Vec<Site> = sites.into_iter().collect();
        let mut names = NameMap::new();
        for (index, site) in sites.iter().enumerate() {
            for pattern in std::iter::once(&site.pattern).chain(&site.aliases) {
                names.insert(pattern.clone(), index);
            }
        }
        Self {
            sites: Arc::new(Sites { sites, names }),
        }
    }

    /// Site that serves a host, given without its port.
    #[must_use]
    pub fn site(&self, host: &str) -> Option<&Site> {
        let index = self.sites.names.lookup(host)?;
        self.sites.sites.get(*index)
    }

    /// Site that serves a host on a listener. A client cannot tell a host of another listener from an unknown one. The host
    /// belongs to its closest pattern also where that is not served: a wider pattern does not take its place.
    pub(crate) fn site_on(&self, listener: ListenerId, host: &str) -> Result<&Site, Error> {
        let site = self.site(host).ok_or(Error::UnknownHost)?;
        if site.listeners.contains(listener) {
            Ok(site)
        } else {
            Err(Error::OtherListener)
        }
    }

    /// All sites, in the order of the configuration.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites.sites
    }

    /// Number of sites.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sites.sites.len()
    }

    /// Site with exactly this pattern.
    #[must_use]
    pub fn get(&self, pattern: &HostPattern) -> Option<&Site> {
        let index = self.sites.names.get(pattern)?;
        self.sites.sites.get(*index)
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::listener_names::ListenerNames;
    use crate::proxy::handler::{Handler, Redirect};

    fn router(patterns: &[&str]) -> Router {
        Router::new(patterns.iter().map(|pattern| site(pattern)))
    }

    fn site(pattern: &str) -> Site {
        let moved = Redirect::parse("https://elsewhere.example.org").unwrap();
        let pattern = HostPattern::parse(pattern).unwrap();
        Site::new(pattern, Handler::Redirect(moved))
    }

    #[test]
    fn the_closest_pattern_serves_a_host_in_any_case() {
        let router = router(&["www.example.org", "*.example.org", "127.0.0.1"]);
        for (host, pattern) in [
            ("www.example.org", "www.example.org"),
            ("WWW.Example.ORG.", "www.example.org"),
            ("shop.example.org", "*.example.org"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            let site = router.site(host).unwrap();
            assert_eq!(site.pattern.to_string(), pattern, "{host}");
        }
    }

    #[test]
    fn an_unknown_host_has_no_site() {
        let router = router(&["www.example.org", "*.example.org"]);
        for host in ["example.org", "a.b.example.org", "example.com", "", "::1"] {
            assert!(router.site(host).is_none(), "{host:?}");
        }
    }

    #[test]
    fn a_host_of_another_listener_is_not_served_by_a_wider_pattern() {
        let names = ListenerNames::default().with(["lan"]);
        let nas = Site {
            listeners: names.set(&["lan".to_owned()]),
            ..site("nas.example.org")
        };
        let router = Router::new([nas, site("*.example.org")]);
        let [default, lan] = ["default", "lan"].map(|name| names.id(name).unwrap());
        for (listener, host, pattern) in [
            (lan, "nas.example.org", Some("nas.example.org")),
            (default, "nas.example.org", None),
            (default, "www.example.org", Some("*.example.org")),
            (lan, "www.example.org", None),
            (lan, "example.com", None),
        ] {
            let site = router.site_on(listener, host).ok();
            let found = site.map(|site| site.pattern.to_string());
            assert_eq!(found.as_deref(), pattern, "{listener:?} {host}");
        }
    }

    #[test]
    fn an_alias_leads_to_the_same_site() {
        let router = Router::new([Site {
            aliases: vec![HostPattern::parse("*.example.net").unwrap()],
            ..site("www.example.org")
        }]);
        let (one, other) = (router.site("www.example.org"), router.site("a.example.net"));
        assert!(ptr::eq(one.unwrap(), other.unwrap()));
    }
}
