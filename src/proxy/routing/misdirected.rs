//! The check that a request's connection may carry requests for its host (421 Misdirected Request, RFC 9110 section 15.5.20).

use std::ptr;

use super::router::{Router, Site};
use crate::name::HostName;
use crate::proxy::error::Error;
use crate::proxy::request::RequestContext;

impl Router {
    /// Site of a request's host. Fails with [`Error::Misdirected`] if the request's connection may not reach it.
    pub(crate) fn site_for(&self, context: &RequestContext<'_>) -> Result<&Site, Error> {
        let (conn, host) = (context.conn, context.host.name());
        let site = self.site_on(conn.listener, host)?;
        let has_same_policy = site.client_policy.as_deref() == conn.client_policy();
        let is_new_enough = conn.is_tls13 || !site.needs_tls13 || !conn.is_tls;
        let is_served = site.http.is_served(conn.is_tls) && is_new_enough && has_same_policy;
        if is_served && self.is_served_under(conn.sni.as_ref(), host, site) {
            Ok(site)
        } else {
            Err(Error::Misdirected)
        }
    }

    /// `true` if a connection that was opened for `sni` may carry requests for `site`: the same site must serve that
    /// name (RFC 9110 section 7.4). Without a server name, there is nothing to compare.
    fn is_served_under(&self, sni: Option<&HostName>, host: &str, site: &Site) -> bool {
        sni.is_none_or(|sni| {
            sni.as_str() == host
                || self
                    .site(sni.as_str())
                    .is_some_and(|other| ptr::eq(other, site))
        })
    }
}
