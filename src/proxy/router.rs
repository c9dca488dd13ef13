//! Which site serves a host.

use std::sync::Arc;

use super::client_identity::ClientPolicy;
use super::redirect::Redirect;
use crate::name::{HostPattern, NameMap};
use crate::upstream::Upstream;

/// What is served under one host pattern.
#[derive(Debug)]
pub struct Site {
    /// The hosts.
    pub pattern: HostPattern,
    /// What becomes of their requests.
    pub action: Action,
    /// How clients are asked for certificates. Connections that were asked otherwise do not reach it.
    pub client_policy: Option<Box<ClientPolicy>>,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is forwarded.
    Upstream(Arc<Upstream>),
    /// It is sent elsewhere.
    Redirect(Redirect),
}

/// All sites: an immutable snapshot that is swapped whole. Clones are cheap and the same snapshot.
#[derive(Clone, Debug, Default)]
pub struct Router {
    sites: Arc<NameMap<Site>>,
}

impl Router {
    /// A router of these sites, each under its own pattern. The last of two with one pattern stays.
    #[must_use]
    pub fn new(sites: impl IntoIterator<Item = Site>) -> Self {
        let sites = sites.into_iter();
        let sites = sites.map(|site| (site.pattern.clone(), site)).collect();
        Self {
            sites: Arc::new(sites),
        }
    }

    /// The site of a host, which is written without its port.
    #[must_use]
    pub fn site(&self, host: &str) -> Option<&Site> {
        self.sites.lookup(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(patterns: &[&str]) -> Router {
        Router::new(patterns.iter().map(|pattern| Site {
            pattern: HostPattern::parse(pattern).unwrap(),
            action: Action::Redirect(Redirect::parse("https://elsewhere.example.org").unwrap()),
            client_policy: None,
        }))
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
    fn a_host_without_a_site_has_none() {
        let router = router(&["www.example.org", "*.example.org"]);
        for host in ["example.org", "a.b.example.org", "example.com", "", "::1"] {
            assert!(router.site(host).is_none(), "{host:?}");
        }
    }
}
