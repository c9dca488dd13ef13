//! The field Destination of WebDAV, which names the target of COPY and MOVE by its URL (RFC 4918 section 10.3). The
//! backend has to see it as if the client had asked the backend itself.

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Request, Uri};

use super::routes::{Route, Routes};
use crate::proxy::error::Error;
use crate::proxy::request::{RequestContext, single_field};

const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// Takes out a destination on the host of the request, and rewrites its path like that of the request. Returns the new
/// path, to which the scheme and host of the backend are added: some servers understand only whole URLs. Other
/// destinations stay as they are.
///
/// Refuses a destination that another route serves, on whichever host: some servers read only its path, which would
/// bypass the backend or the guards of that route. This holds for each method, since some servers also take a method in
/// other letter case, or in another field. Only for COPY and MOVE must the value be one valid destination.
pub(crate) fn take<B>(
    request: &mut Request<B>,
    route: &Route,
    routes: &Routes,
    context: &RequestContext<'_>,
) -> Result<Option<PathAndQuery>, Error> {
    let is_transfer = ["COPY", "MOVE"]
        .iter()
        .any(|method| request.method().as_str().eq_ignore_ascii_case(method));
    let headers = request.headers_mut();
    if !is_transfer {
        let values = headers.get_all(&DESTINATION).iter();
        return values
            .filter(|value| is_like_destination(value.as_bytes()))
            .try_for_each(|value| path_in_route(value, route, routes).map(drop))
            .map(|()| None);
    }
    let value = single_field(headers, &DESTINATION).ok_or(Error::Destination)?;
    let (uri, path) = path_in_route(value, route, routes)?;
    if uri.authority().is_some() && !is_own(&uri, context) {
        return Ok(None);
    }
    headers.remove(DESTINATION);
    route.target(path).map(Some)
}

/// `true` for a value that may be a path or a URL. Apps may use the field for something else.
fn is_like_destination(value: &[u8]) -> bool {
    value.starts_with(b"/") || value.windows(3).any(|part| part == b"://")
}

/// Parses a destination. Fails if another route serves its path.
fn path_in_route(
    value: &HeaderValue,
    route: &Route,
    routes: &Routes,
) -> Result<(Uri, PathAndQuery), Error> {
    let text = value.to_str().map_err(|_| Error::Destination)?;
    let uri: Uri = text.parse().map_err(|_| Error::Destination)?;
    // The parser leaves a fragment out. Other servers may read a host after two slashes, or after a user name.
    if text.contains('#')
        || uri.authority().is_some_and(|it| it.as_str().contains('@'))
        || text.starts_with("//")
    {
        return Err(Error::Destination);
    }
    let path = uri.path_and_query().ok_or(Error::Destination)?.clone();
    if !std::ptr::eq(routes.route(path.path())?, route) {
        return Err(Error::Destination);
    }
    Ok((uri, path))
}

/// `true` if the URL has the host and port of the request.
fn is_own(uri: &Uri, context: &RequestContext<'_>) -> bool {
    let default_port = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return false,
    };
    let host = context.host.value().to_str().ok();
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let (Some(own), Some(given)) = (host, uri.authority()) else {
        return false;
    };
    let port = |authority: &Authority, default| authority.port_u16().unwrap_or(default);
    // Behind another terminator of TLS, a Host without a port says nothing about the client's scheme.
    let own_default = if context.conn.is_tls {
        443
    } else {
        default_port
    };
    given.host().eq_ignore_ascii_case(own.host())
        && port(given, default_port) == port(&own, own_default)
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;
    use crate::proxy::handler::{Handler, Redirect};
    use crate::proxy::request::{ConnInfo, PathPrefix};
    use crate::proxy::routing::Rewrite;
    use crate::proxy::service_options::ServiceOptions;

    fn rewritten(method: &str, destination: &str) -> Result<Option<String>, Error> {
        let handler = || Handler::Redirect(Redirect::parse("https://www.example.org").unwrap());
        let prefix = PathPrefix::parse("/dav").unwrap();
        let mut dav = Route::new(prefix.clone(), handler());
        dav.rewrite = Some(Rewrite::strip(prefix));
        let secret = Route::new(PathPrefix::parse("/dav/secret").unwrap(), handler());
        let routes = Routes::new([dav, secret]);
        let conn = ConnInfo::new("192.0.2.7:40000".parse().unwrap(), None);
        let request = Request::builder()
            .method(method)
            .uri("https://www.example.org:8443/dav/a");
        let mut request = request.version(Version::HTTP_2).body(()).unwrap();
        let mut context = RequestContext::new(&request, &conn, 0);
        context
            .read_head(&request, &ServiceOptions::default())
            .unwrap();
        let destination = HeaderValue::from_str(destination).unwrap();
        request.headers_mut().insert(DESTINATION, destination);
        let route = routes.route("/dav/a").unwrap();
        let path = take(&mut request, route, &routes, &context)?;
        let is_taken = !request.headers().contains_key(DESTINATION);
        assert_eq!(is_taken, path.is_some());
        Ok(path.map(|path| path.to_string()))
    }

    #[test]
    fn a_destination_on_this_host_loses_the_prefix_of_the_route() {
        for (destination, path) in [
            ("/dav/b", "/b"),
            ("https://www.example.org:8443/dav/b%20c", "/b%20c"),
            ("http://WWW.example.org:8443/dav/b?c", "/b?c"),
        ] {
            let seen = rewritten("MOVE", destination).unwrap();
            assert_eq!(seen.as_deref(), Some(path));
        }
    }

    #[test]
    fn other_hosts_and_methods_are_left_alone() {
        for (method, destination) in [
            ("MOVE", "https://other.example/dav/b"),
            ("MOVE", "https://www.example.org/dav/b"),
            ("MOVE", "ftp://www.example.org:8443/dav/b"),
            ("PUT", "https://www.example.org:8443/dav/b"),
            ("POST", "Berlin"),
            ("POST", "a, #b"),
        ] {
            assert_eq!(rewritten(method, destination).unwrap(), None);
        }
    }

    #[test]
    fn no_method_leads_a_destination_into_another_route() {
        for method in ["move", "Copy", "POST", "X-MOVE"] {
            for destination in [
                "/dav/secret/x",
                "/dav/a/../secret",
                "//host/dav/secret",
                "https://www.example.org:8443/dav/secret",
                "https://other.example/dav/%73ecret",
            ] {
                let outcome = rewritten(method, destination);
                assert!(outcome.is_err(), "{method} {destination}");
            }
        }
        let moved = rewritten("move", "/dav/b").unwrap();
        assert_eq!(moved.as_deref(), Some("/b"));
    }

    #[test]
    fn a_destination_in_another_route_is_refused_in_every_spelling_and_on_every_host() {
        for path in [
            "/dav/secret/x",
            "/dav/%73ecret",
            "/dav//secret",
            "/dav/a/../secret",
            "/else",
            "/dav/b#c",
        ] {
            for destination in [
                path.to_owned(),
                format!("https://www.example.org:8443{path}"),
            ] {
                assert!(rewritten("MOVE", &destination).is_err(), "{destination}");
            }
        }
    }
}
