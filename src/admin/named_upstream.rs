//! The upstreams of the current router, each under the name of the first route that uses it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::proxy::{Handler, Router, Site};
use crate::upstream::Upstream;

/// An upstream with its name.
#[derive(Clone, Debug)]
pub(super) struct NamedUpstream {
    /// Site and path prefix of the first route that uses it, such as `www.example.org/api/`.
    pub(super) name: String,
    pub(super) upstream: Arc<Upstream>,
}

/// Returns all upstreams of a router, each once.
pub(super) fn upstreams(router: &Router) -> Vec<NamedUpstream> {
    let mut known = HashSet::new();
    let of_sites = router.sites().iter().flat_map(upstreams_of);
    of_sites
        .filter(|named| known.insert(Arc::as_ptr(&named.upstream)))
        .collect()
}

/// Returns the upstreams of a site by its routes. Routes may share one.
pub(super) fn upstreams_of(site: &Site) -> impl Iterator<Item = NamedUpstream> {
    site.routes.iter().filter_map(|route| match &route.handler {
        Handler::Upstream(upstream) => Some(NamedUpstream {
            name: format!("{}{}", site.pattern, route.prefix),
            upstream: Arc::clone(upstream),
        }),
        Handler::Redirect(_) | Handler::Respond(_) | Handler::Files(_) => None,
    })
}
