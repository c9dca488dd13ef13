//! The https URL to which a plain HTTP request is redirected.

use http::header::HOST;
use http::{HeaderValue, Method, Request};

use crate::listener_names::ListenerId;
use crate::proxy::{Reason, Router, Site, checked_target, to_https};

/// Returns the URL at the port that `https_port` returns for the site, and the site that serves the request's host on the
/// listener. Otherwise returns why the request has no redirect.
pub(super) fn https_location<'r, B>(
    request: &Request<B>,
    router: &'r Router,
    listener: ListenerId,
    https_port: impl FnOnce(&Site) -> u16,
) -> Result<(HeaderValue, &'r Site), Reason> {
    if *request.method() == Method::CONNECT {
        return Err(Reason::Connect);
    }
    let target = checked_target(request).ok_or(Reason::Target)?;
    let host = host(request).ok_or(Reason::Host)?;
    let (url, site) = to_https(router, listener, host, &target, https_port)?;
    let location = HeaderValue::try_from(url).map_err(|_| Reason::Target)?;
    Ok((location, site))
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
