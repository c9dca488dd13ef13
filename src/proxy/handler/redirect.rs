//! The handler that redirects clients to another URL.

use http::header::LOCATION;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Response, StatusCode, Uri};

use crate::proxy::body::Body;
use crate::proxy::error::Error;
use crate::proxy::request::{PathPrefix, PlaceholderError, RequestContext, Template, host};

/// Reason why a redirect is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// The target is neither a URL with a host nor a path.
    #[error(
        "a redirect must lead to a URL like `https://www.example.org` or to a path like `/new`"
    )]
    Url,
    /// The target has a scheme other than http and https.
    #[error("a redirect must lead to an http:// or https:// URL")]
    Scheme,
    /// The target is a path that browsers could read as a host.
    #[error(
        "the path of a redirect must begin with a single slash, and no placeholder may follow it; use a form like `/new{{path}}`"
    )]
    Path,
    /// The target has a query or fragment, after which no path can be appended.
    #[error(
        "the target cannot have a `?` or `#`, since the rest of the request's path and its query are appended to it; set `append = false`, or place them with `{{path}}` and `{{query}}`"
    )]
    Tail,
    /// The status is not one of a redirect.
    #[error("the status of a redirect must be 301, 302, 303, 307 or 308")]
    Status,
    /// The target has an unknown placeholder.
    #[error(transparent)]
    Placeholder(#[from] PlaceholderError),
}

/// Options of a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectOptions {
    /// Target: an http or https URL, or a path on the same host. `{host}`, `{path}` and `{query}` are filled in.
    pub to: String,
    /// Status. The default, 308, keeps method and body.
    pub status: u16,
    /// Whether the rest of the request's path and its query are appended to a target without `{path}` and `{query}`.
    pub append: bool,
}

impl RedirectOptions {
    /// Options with the default status, which append the rest of the path.
    #[must_use]
    pub fn new(to: &str) -> Self {
        Self {
            to: to.to_owned(),
            status: StatusCode::PERMANENT_REDIRECT.as_u16(),
            append: true,
        }
    }
}

/// Placeholder in the target of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Host,
    Path,
    Query,
}

const PLACEHOLDERS: [(&str, Placeholder); 3] = [
    ("host", Placeholder::Host),
    ("path", Placeholder::Path),
    ("query", Placeholder::Query),
];

/// Redirects the requests of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    options: RedirectOptions,
    target: Template<Placeholder>,
    /// Prefix of the route, if the rest of the path is appended.
    append_after: Option<PathPrefix>,
    status: StatusCode,
}

impl Redirect {
    /// Parses a target like `https://www.example.org/new`, to which the path and query of a request are appended.
    pub fn parse(text: &str) -> Result<Self, RedirectError> {
        Self::new(&RedirectOptions::new(text), &PathPrefix::root())
    }

    /// Creates the redirect of the route with this prefix.
    pub fn new(options: &RedirectOptions, prefix: &PathPrefix) -> Result<Self, RedirectError> {
        let status = StatusCode::from_u16(options.status)
            .ok()
            .filter(|status| matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308))
            .ok_or(RedirectError::Status)?;
        let whole = Template::parse(&options.to, &PLACEHOLDERS)?;
        let has_path = whole.placeholders().any(|place| place != Placeholder::Host);
        let appends = options.append && !has_path;
        check_target(&options.to)?;
        if appends && options.to.contains(['?', '#']) {
            return Err(RedirectError::Tail);
        }
        let target = if appends {
            Template::parse(options.to.trim_end_matches('/'), &PLACEHOLDERS)?
        } else {
            whole
        };
        Ok(Self {
            options: options.clone(),
            target,
            append_after: appends.then(|| prefix.clone()),
            status,
        })
    }

    /// Options that the redirect was created with.
    #[must_use]
    pub fn options(&self) -> &RedirectOptions {
        &self.options
    }

    /// Status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Responds to a request.
    pub(crate) fn answer(&self, context: &RequestContext<'_>) -> Result<Response<Body>, Error> {
        let location = self.location(context.host.name(), &context.target);
        let location = location.ok_or(Error::Target)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }

    /// Value of Location for a request. `None` if it has characters that a header must not have.
    #[must_use]
    pub fn location(&self, host: &str, target: &PathAndQuery) -> Option<HeaderValue> {
        let path = match target.path() {
            "*" => "",
            path => path,
        };
        let query = target.query().unwrap_or_default();
        let mut location = self.target.filled(|place, text| match place {
            Placeholder::Host => text.extend(host.bytes().map(|byte| byte.to_ascii_lowercase())),
            Placeholder::Path => text.extend_from_slice(path.as_bytes()),
            Placeholder::Query if query.is_empty() && text.last() == Some(&b'?') => {
                text.pop();
            }
            Placeholder::Query => text.extend_from_slice(query.as_bytes()),
        });
        if let Some(prefix) = &self.append_after {
            let rest = path.strip_prefix(prefix.as_str()).unwrap_or(path);
            if location.is_empty() {
                // Otherwise the path could begin with two slashes, after which browsers read a host.
                location.push(b'/');
            }
            let rest = match location.as_slice() {
                b"/" => rest.trim_start_matches(['/', '\\']),
                _ => rest,
            };
            location.extend_from_slice(rest.as_bytes());
            if !query.is_empty() {
                location.push(b'?');
                location.extend_from_slice(query.as_bytes());
            }
        }
        HeaderValue::try_from(location).ok()
    }
}

/// Checks that the target leads to the host that the operator wrote, whatever a client's request fills in.
fn check_target(text: &str) -> Result<(), RedirectError> {
    if let Some(path) = text.strip_prefix('/') {
        if path.starts_with(['/', '\\', '{']) {
            return Err(RedirectError::Path);
        }
        let value = HeaderValue::from_str(text);
        return value.map(drop).map_err(|_| RedirectError::Url);
    }
    // `{query}` right after the host would become part of the host: `@` makes the check of the host fail then.
    let sample = text
        .replace("{host}", "host.invalid")
        .replace("{path}", "/")
        .replace("{query}", "@");
    let uri: Uri = sample.parse().map_err(|_| RedirectError::Url)?;
    let authority = uri.authority().ok_or(RedirectError::Url)?;
    host::split(authority.as_str()).ok_or(RedirectError::Url)?;
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => Ok(()),
        Some(_) => Err(RedirectError::Scheme),
        None => Err(RedirectError::Url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(redirect.location("example.org", &path).unwrap(), location);
        }
    }

    #[test]
    fn invalid_targets_are_refused() {
        for (target, error) in [
            ("www.example.org", RedirectError::Url),
            ("new", RedirectError::Url),
            ("", RedirectError::Url),
            ("https://u@example.org", RedirectError::Url),
            ("ftp://example.org", RedirectError::Scheme),
            ("https://example.org/?a", RedirectError::Tail),
            ("https://example.org/#a", RedirectError::Tail),
            ("https://example.org{query}", RedirectError::Url),
            ("//evil.example", RedirectError::Path),
            ("/\\evil.example", RedirectError::Path),
            ("/{path}", RedirectError::Path),
            ("/a?b", RedirectError::Tail),
        ] {
            assert_eq!(Redirect::parse(target), Err(error), "{target}");
        }
    }

    fn location(options: &RedirectOptions, prefix: &str, path: &str) -> String {
        let redirect = Redirect::new(options, &PathPrefix::parse(prefix).unwrap()).unwrap();
        let location = redirect.location("Shop.example.org", &path.parse().unwrap());
        location.unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn the_rest_of_the_path_is_appended_or_fills_its_placeholder() {
        for (to, prefix, path, expected) in [
            ("/new", "/old", "/old", "/new"),
            ("/new", "/old/", "/old/a?b", "/new/a?b"),
            ("/", "/old", "/old/a", "/a"),
            ("/", "/old", "/old//evil.example", "/evil.example"),
            ("/", "/old", "/old", "/"),
            ("https://a.example", "/old", "/old?b", "https://a.example?b"),
            (
                "https://{host}{path}?{query}",
                "/",
                "/a?b=c",
                "https://shop.example.org/a?b=c",
            ),
            (
                "https://{host}/x?{query}",
                "/",
                "/a",
                "https://shop.example.org/x",
            ),
            (
                "https://{host}/x",
                "/old",
                "/old/a",
                "https://shop.example.org/x/a",
            ),
            ("/login?from={path}", "/", "/a?b", "/login?from=/a"),
        ] {
            let options = RedirectOptions::new(to);
            assert_eq!(location(&options, prefix, path), expected, "{to} {path}");
        }
    }

    #[test]
    fn without_append_the_target_is_the_same_for_all_requests() {
        let options = RedirectOptions {
            append: false,
            status: 302,
            ..RedirectOptions::new("https://a.example/down?why=work#top")
        };
        assert_eq!(location(&options, "/", "/a?b"), options.to);
    }

    #[test]
    fn only_redirect_statuses_are_accepted() {
        for (status, is_valid) in [
            (301, true),
            (303, true),
            (304, false),
            (300, false),
            (200, false),
        ] {
            let options = RedirectOptions {
                status,
                ..RedirectOptions::new("/new")
            };
            let redirect = Redirect::new(&options, &PathPrefix::root());
            assert_eq!(redirect.is_ok(), is_valid, "{status}");
        }
    }
}
