//! The https URL to which a plain HTTP request is redirected.

use http::header::HOST;
use http::{HeaderValue, Method, Request};

use crate::listener_names::ListenerId;
use crate::proxy::{Reason, Router, Site, checked_target, site_of_host, to_https};

/// Returns the site that serves the request's host on the listener, or the reason why there is none.
pub(super) fn site_of<'r, B>(
    request: &Request<B>,
    router: &'r Router,
    listener: ListenerId,
) -> Result<&'r Site, Reason> {
    site_of_host(router, listener, host(request).ok_or(Reason::Host)?)
}

/// Returns the URL at this port for a request to the host of a site. Otherwise returns why the request has no redirect.
pub(super) fn https_location<B>(
    request: &Request<B>,
    https_port: u16,
) -> Result<HeaderValue, Reason> {
    if *request.method() == Method::CONNECT {
        return Err(Reason::Connect);
    }
    let target = checked_target(request).ok_or(Reason::Target)?;
    let host = host(request).ok_or(Reason::Host)?;
    let url = to_https(host, &target, https_port).ok_or(Reason::UnknownHost)?;
    HeaderValue::try_from(url).map_err(|_| Reason::Target)
}

/// Returns the host of a request as the client wrote it, perhaps with a port. `None` if there is no single one.
pub(super) fn host<B>(request: &Request<B>) -> Option<&str> {
    let mut fields = request.headers().get_all(HOST).iter();
    match (fields.next(), fields.next(), request.uri().authority()) {
        (_, Some(_), _) => None,
        (_, None, Some(authority)) => Some(authority.as_str()),
        (field, None, None) => field?.to_str().ok(),
    }
}
