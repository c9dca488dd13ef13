//! Sending a client elsewhere.

use http::header::LOCATION;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Response, StatusCode, Uri};

use crate::proxy::body::Body;
use crate::proxy::error::Error;
use crate::proxy::request::{PathPrefix, PlaceholderError, RequestContext, Template, host};

/// Why a text is not the target of a redirect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Neither a URL with a host nor a path.
    #[error(
        "a redirect goes to a URL such as `https://www.example.org`, or to a path such as `/new`"
    )]
    Url,
    /// A scheme that browsers would not follow to a site.
    #[error("a redirect goes to an http:// or https:// URL")]
    Scheme,
    /// A path that browsers take for a host.
    #[error("a redirect to a path begins with one slash and no placeholder, as in `/new{{path}}`")]
    Path,
    /// A query or fragment, behind which no path can be appended.
    #[error(
        "the rest of the request's path and its query are appended to a redirect; leave out what follows the path, write `append = false`, or say where they go with `{{path}}` and `{{query}}`"
    )]
    Tail,
    /// A status that sends nobody elsewhere.
    #[error("a redirect's status is 301, 302, 303, 307 or 308")]
    Status,
    /// A placeholder that is not known.
    #[error(transparent)]
    Placeholder(#[from] PlaceholderError),
}

/// Where to send clients, as the operator says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectOptions {
    /// An http or https URL, or a path on the same host. `{host}`, `{path}` and `{query}` in it are filled.
    pub to: String,
    /// The status; the default keeps method and body.
    pub status: u16,
    /// Whether what follows the route's prefix is appended to a target without `{path}` and `{query}`.
    pub append: bool,
}

impl RedirectOptions {
    /// A redirect with the default status, which appends the rest of the path.
    #[must_use]
    pub fn new(to: &str) -> Self {
        Self {
            to: to.to_owned(),
            status: StatusCode::PERMANENT_REDIRECT.as_u16(),
            append: true,
        }
    }
}

/// What a target may tell of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Host,
    Path,
    Query,
}

const PIECES: [(&str, Piece); 3] = [
    ("host", Piece::Host),
    ("path", Piece::Path),
    ("query", Piece::Query),
];

/// Sends the requests of a route elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    options: RedirectOptions,
    target: Template<Piece>,
    /// The route's prefix, when what follows it is appended.
    append_behind: Option<PathPrefix>,
    status: StatusCode,
}

impl Redirect {
    /// Parses `https://www.example.org`, perhaps with a path that goes before the request's own.
    pub fn parse(text: &str) -> Result<Self, RedirectError> {
        Self::new(&RedirectOptions::new(text), &PathPrefix::root())
    }

    /// The redirect of the route with this prefix.
    pub fn new(options: &RedirectOptions, prefix: &PathPrefix) -> Result<Self, RedirectError> {
        let status = StatusCode::from_u16(options.status)
            .ok()
            .filter(|status| matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308))
            .ok_or(RedirectError::Status)?;
        let whole = Template::parse(&options.to, &PIECES)?;
        let says_where = whole.places().any(|piece| piece != Piece::Host);
        let appends = options.append && !says_where;
        check_target(&options.to)?;
        if appends && options.to.contains(['?', '#']) {
            return Err(RedirectError::Tail);
        }
        let target = if appends {
            Template::parse(options.to.trim_end_matches('/'), &PIECES)?
        } else {
            whole
        };
        Ok(Self {
            options: options.clone(),
            target,
            append_behind: appends.then(|| prefix.clone()),
            status,
        })
    }

    /// What the operator says of it.
    #[must_use]
    pub fn options(&self) -> &RedirectOptions {
        &self.options
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response to a request.
    pub(in crate::proxy) fn answer(
        &self,
        context: &RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        let location = self.location(context.host.name(), &context.target);
        let location = location.ok_or(Error::Target)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }

    /// The value of Location for a request. `None` if that is no text a field may hold.
    #[must_use]
    pub fn location(&self, host: &str, target: &PathAndQuery) -> Option<HeaderValue> {
        let path = match target.path() {
            "*" => "",
            path => path,
        };
        let query = target.query().unwrap_or_default();
        let mut location = self.target.filled(|piece, text| match piece {
            Piece::Host => text.extend(host.bytes().map(|byte| byte.to_ascii_lowercase())),
            Piece::Path => text.extend_from_slice(path.as_bytes()),
            Piece::Query if query.is_empty() && text.last() == Some(&b'?') => drop(text.pop()),
            Piece::Query => text.extend_from_slice(query.as_bytes()),
        });
        if let Some(prefix) = &self.append_behind {
            let rest = path.strip_prefix(prefix.as_str()).unwrap_or(path);
            if location.is_empty() {
                // Or else the path could begin with two slashes, behind which browsers read a host.
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

/// Whether browsers will read the target as the operator does, whatever a client puts into its places.
fn check_target(text: &str) -> Result<(), RedirectError> {
    if let Some(path) = text.strip_prefix('/') {
        if path.starts_with(['/', '\\', '{']) {
            return Err(RedirectError::Path);
        }
        let value = HeaderValue::from_str(text);
        return value.map(drop).map_err(|_| RedirectError::Url);
    }
    // A query right behind the host would be part of it.
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
    fn what_is_no_target_is_refused() {
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
    fn what_follows_the_prefix_is_appended_or_goes_where_the_target_says() {
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
    fn a_target_can_be_the_same_for_all() {
        let options = RedirectOptions {
            append: false,
            status: 302,
            ..RedirectOptions::new("https://a.example/down?why=work#top")
        };
        assert_eq!(location(&options, "/", "/a?b"), options.to);
    }

    #[test]
    fn only_statuses_that_send_elsewhere_are_redirects() {
        for (status, is_right) in [
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
            assert_eq!(redirect.is_ok(), is_right, "{status}");
        }
    }
}
