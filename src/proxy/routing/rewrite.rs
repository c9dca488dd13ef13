//! The rewrite of a request's path before it goes to the backend.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::proxy::error::Error;
use crate::proxy::request::{PathPrefix, PrefixError};

const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Replaces a route's prefix at the beginning of a path. The rest of the path and the query stay unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    from: PathPrefix,
    to: PathPrefix,
}

impl Rewrite {
    /// Creates a rewrite that removes the route's prefix.
    #[must_use]
    pub fn strip(prefix: PathPrefix) -> Self {
        Self {
            from: prefix,
            to: PathPrefix::root(),
        }
    }

    /// Creates a rewrite that replaces the route's prefix with `beginning`, such as `/v2/`.
    pub fn replace(prefix: PathPrefix, beginning: &str) -> Result<Self, PrefixError> {
        Ok(Self {
            from: prefix,
            to: PathPrefix::parse(beginning)?,
        })
    }

    /// Replacement of the prefix. `None` if the prefix is removed.
    #[must_use]
    pub fn beginning(&self) -> Option<&PathPrefix> {
        (!self.to.is_root()).then_some(&self.to)
    }

    /// Rewrites the path of a target. `*` stays, since it is not a path.
    pub(crate) fn apply(&self, target: &PathAndQuery) -> Result<PathAndQuery, Error> {
        let Some(rest) = target.as_str().strip_prefix(self.from.as_str()) else {
            return Ok(target.clone());
        };
        let to = self.to.as_str();
        if rest.starts_with('*') {
            return Ok(target.clone());
        }
        let needs_slash = to.is_empty() && !rest.starts_with('/');
        let slash = if needs_slash { "/" } else { "" };
        PathAndQuery::try_from([to, slash, rest].concat()).map_err(|_| Error::Target)
    }

    /// Sets X-Forwarded-Prefix to the removed prefix, so that the backend can build links.
    pub(crate) fn set_prefix_field(&self, headers: &mut HeaderMap) {
        if self.to.is_root() && !self.from.is_root() {
            let prefix = HeaderValue::from_str(self.from.as_str());
            headers.insert(FORWARDED_PREFIX, prefix.expect("a prefix is visible ASCII"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_path_and_the_query_stay_unchanged() {
        let prefix = |text| PathPrefix::parse(text).unwrap();
        let strip = Rewrite::strip(prefix("/api/"));
        let replace = Rewrite::replace(prefix("/api"), "/v2/").unwrap();
        let below = Rewrite::replace(PathPrefix::root(), "/app").unwrap();
        for (rewrite, target, rewritten) in [
            (&strip, "/api", "/"),
            (&strip, "/api?q=/api", "/?q=/api"),
            (&strip, "/api/", "/"),
            (&strip, "/api/a%2Fb//c?d", "/a%2Fb//c?d"),
            (&replace, "/api", "/v2"),
            (&replace, "/api?q", "/v2?q"),
            (&replace, "/api/x?q", "/v2/x?q"),
            (&below, "/", "/app/"),
            (&below, "/x?q", "/app/x?q"),
            (&below, "*", "*"),
        ] {
            let target: PathAndQuery = target.parse().unwrap();
            assert_eq!(rewrite.apply(&target).unwrap(), rewritten, "{target}");
        }
    }

    #[test]
    fn only_a_removed_prefix_is_forwarded() {
        let prefix = PathPrefix::parse("/api/").unwrap();
        let mut headers = HeaderMap::new();
        Rewrite::replace(prefix.clone(), "/v2")
            .unwrap()
            .set_prefix_field(&mut headers);
        assert!(headers.is_empty());
        Rewrite::strip(prefix).set_prefix_field(&mut headers);
        assert_eq!(headers["x-forwarded-prefix"], "/api");
    }
}
