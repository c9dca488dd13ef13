//! Sending a client elsewhere.

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, StatusCode, Uri};

use super::host;
use super::router::Router;
use crate::name::HostName;

/// Why a text is not the target of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// No URL, or one without a host.
    #[error("a redirect goes to a URL such as `https://www.example.org`")]
    Url,
    /// A scheme that browsers would not follow to a site.
    #[error("a redirect goes to an http:// or https:// URL")]
    Scheme,
    /// A query or fragment, behind which no path can be appended.
    #[error(
        "the request's path and query are appended to a redirect; leave out what follows the path"
    )]
    Tail,
}

/// Where a whole site has moved; the request's path and query are appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    base: String,
}

impl Redirect {
    /// Parses `https://www.example.org`, perhaps with a path that goes before the request's own.
    pub fn parse(text: &str) -> Result<Self, RedirectError> {
        let uri: Uri = text.parse().map_err(|_| RedirectError::Url)?;
        let authority = uri.authority().ok_or(RedirectError::Url)?;
        host::split(authority.as_str()).ok_or(RedirectError::Url)?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {}
            Some(_) => return Err(RedirectError::Scheme),
            None => return Err(RedirectError::Url),
        }
        if text.contains(['?', '#']) {
            return Err(RedirectError::Tail);
        }
        Ok(Self {
            base: text.trim_end_matches('/').to_owned(),
        })
    }

    /// The status that keeps method and body.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::PERMANENT_REDIRECT
    }

    /// The value of Location for a request's path and query. `None` if that is no text a field may hold.
    #[must_use]
    pub fn location(&self, target: &PathAndQuery) -> Option<HeaderValue> {
        let path = match target.as_str() {
            "*" => "",
            path => path,
        };
        HeaderValue::try_from([self.base.as_str(), path].concat().into_bytes()).ok()
    }
}

/// The https URL of a plain request, or `None` when no site has its host.
///
/// `host` is the Host field as it came, perhaps with a port. What is returned is made of the name as the router knows
/// it, so that nothing a client sends is reflected but its path and query.
#[must_use]
pub fn to_https(
    router: &Router,
    host: &str,
    path_and_query: &str,
    https_port: u16,
) -> Option<String> {
    let name = HostName::parse(host::split(host)?).ok()?;
    router.site(name.as_str())?;
    let path = match path_and_query.starts_with('/') {
        true => path_and_query,
        false => "/",
    };
    let host = match name.as_str().contains(':') {
        true => format!("[{name}]"),
        false => name.to_string(),
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
    use crate::proxy::{Action, Site};

    #[test]
    fn the_path_and_query_follow_the_target() {
        for (target, path, location) in [
            (
                "https://www.example.org",
                "/a?b=c",
                "https://www.example.org/a?b=c",
            ),
            ("https://www.example.org/", "/", "https://www.example.org/"),
            (
                "http://www.example.org:81/blog/",
                "/a",
                "http://www.example.org:81/blog/a",
            ),
            ("https://www.example.org", "*", "https://www.example.org"),
            (
                "https://www.example.org",
                "//evil.example/",
                "https://www.example.org//evil.example/",
            ),
        ] {
            let redirect = Redirect::parse(target).unwrap();
            let path: PathAndQuery = path.parse().unwrap();
            assert_eq!(redirect.location(&path).unwrap(), location);
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for (target, error) in [
            ("www.example.org", RedirectError::Url),
            ("/new", RedirectError::Url),
            ("", RedirectError::Url),
            ("https://u@example.org", RedirectError::Url),
            ("ftp://example.org", RedirectError::Scheme),
            ("https://example.org/?a", RedirectError::Tail),
            ("https://example.org/#a", RedirectError::Tail),
        ] {
            assert_eq!(Redirect::parse(target), Err(error), "{target}");
        }
    }

    fn router() -> Router {
        Router::new(
            ["www.example.org", "*.example.net", "::1"].map(|pattern| Site {
                pattern: HostPattern::parse(pattern).unwrap(),
                action: Action::Redirect(Redirect::parse("https://a.example").unwrap()),
                client_policy: None,
            }),
        )
    }

    #[test]
    fn known_hosts_go_to_https_under_their_canonical_name() {
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
            assert_eq!(to_https(&router(), host, path, port).as_deref(), Some(url));
        }
    }

    #[test]
    fn other_hosts_go_nowhere() {
        for host in [
            "evil.example",
            "",
            "www.example.org@evil.example",
            "www.example.org/x",
            "www.example.org, evil.example",
            "a.b.example.net",
        ] {
            assert_eq!(to_https(&router(), host, "/", 443), None, "{host}");
        }
    }
}
