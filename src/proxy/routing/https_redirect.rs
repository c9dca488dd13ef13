//! The redirect of plain HTTP to HTTPS.

use http::uri::PathAndQuery;

use super::router::{Router, Site};
use crate::listener_names::ListenerId;
use crate::name::HostName;
use crate::proxy::error::Reason;
use crate::proxy::request::host;

/// Returns the site that serves a host on a listener, or the reason why there is none. `host` is the value of a Host field with or
/// without a port.
pub fn site_of_host<'r>(
    router: &'r Router,
    listener: ListenerId,
    host: &str,
) -> Result<&'r Site, Reason> {
    let name = host::split(host).ok_or(Reason::UnknownHost)?;
    let site = router.site_on(listener, name);
    site.map_err(|error| error.reason())
}

/// Returns the https URL for a plain HTTP request to the host of a site. `None` if the host is not a valid name.
///
/// `host` is the value of the Host field, perhaps with a port. The URL is built from the parsed name: of the client's
/// bytes, it repeats only path and query.
#[must_use]
pub fn to_https(host: &str, target: &PathAndQuery, https_port: u16) -> Option<String> {
    let name = HostName::parse(host::split(host)?).ok()?;
    let path = match target.as_str() {
        "*" => "/",
        path => path,
    };
    let host = if name.as_str().contains(':') {
        format!("[{name}]")
    } else {
        name.to_string()
    };
    Some(match https_port {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    })
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
            assert!(site_of_host(&router, listener, host).is_ok(), "{host}");
            assert_eq!(to_https(host, &target, port).unwrap(), url);
        }
    }

    #[test]
    fn other_hosts_have_no_site() {
        for host in [
            "evil.example",
            "",
            "www.example.org@evil.example",
            "www.example.org/x",
            "www.example.org, evil.example",
            "a.b.example.net",
        ] {
            let router = router();
            let found = site_of_host(&router, ListenerId::default(), host);
            assert_eq!(found.err(), Some(Reason::UnknownHost), "{host}");
        }
    }
}
