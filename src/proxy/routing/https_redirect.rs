//! The redirect of plain HTTP to HTTPS.

use http::uri::PathAndQuery;

use super::router::{Router, Site};
use crate::listener_names::ListenerId;
use crate::name::HostName;
use crate::proxy::error::Reason;
use crate::proxy::request::host;

/// Returns the site that serves a host on a listener. `host` is the value of a Host field with or without a port. `None` also
/// for some of the spellings that [`to_https`] knows.
#[must_use]
pub fn site_of_host<'r>(router: &'r Router, listener: ListenerId, host: &str) -> Option<&'r Site> {
    router.site_on(listener, host::split(host)?).ok()
}

/// Returns the https URL for a plain HTTP request on a listener, and its site. `https_port` returns the port of the site. The
/// error is the reason why there is none.
///
/// `host` is the value of the Host field, perhaps with a port. The URL is built from the parsed name: of the client's
/// bytes, it repeats only path and query.
pub fn to_https<'r>(
    router: &'r Router,
    listener: ListenerId,
    host: &str,
    target: &PathAndQuery,
    https_port: impl FnOnce(&Site) -> u16,
) -> Result<(String, &'r Site), Reason> {
    let name = host::split(host).ok_or(Reason::UnknownHost)?;
    let name = HostName::parse(name).map_err(|_| Reason::UnknownHost)?;
    let site = router
        .site_on(listener, name.as_str())
        .map_err(|error| error.reason())?;
    let path = match target.as_str() {
        "*" => "/",
        path => path,
    };
    let host = if name.as_str().contains(':') {
        format!("[{name}]")
    } else {
        name.to_string()
    };
    let location = match https_port(site) {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    };
    Ok((location, site))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::HostPattern;
    use crate::proxy::handler::{Handler, Redirect};

    fn router() -> Router {
        Router::new(["www.example.org", "*.example.net", "::1"].map(|pattern| {
            let moved = Redirect::parse("https://a.example").unwrap();
            Site::new(
                HostPattern::parse(pattern).unwrap(),
                Handler::Redirect(moved),
            )
        }))
    }

    #[test]
    fn known_hosts_are_redirected_under_their_canonical_name() {
        for (host, path, port, url) in [
            (
                "www.example.org",
                "/a?b",
                443,
                "https://www.example.org/a?b",
            ),
            (
                "WWW.Example.ORG.:8080",
                "/",
                8443,
                "https://www.example.org:8443/",
            ),
            ("Shop.example.net", "/", 443, "https://shop.example.net/"),
            ("[0:0::1]:80", "/", 443, "https://[::1]/"),
            ("www.example.org", "*", 443, "https://www.example.org/"),
        ] {
            let (router, target) = (router(), path.parse().unwrap());
            let listener = ListenerId::default();
            let (location, _) = to_https(&router, listener, host, &target, |_| port).unwrap();
            assert_eq!(location, url);
        }
    }

    #[test]
    fn other_hosts_are_not_redirected() {
        for host in [
            "evil.example",
            "",
            "www.example.org@evil.example",
            "www.example.org/x",
            "www.example.org, evil.example",
            "a.b.example.net",
        ] {
            let (router, target) = (router(), PathAndQuery::from_static("/"));
            let found = to_https(&router, ListenerId::default(), host, &target, |_| 443);
            assert_eq!(found.err(), Some(Reason::UnknownHost), "{host}");
        }
    }
}
