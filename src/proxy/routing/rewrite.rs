//! Another path for the backend than the client's.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::proxy::error::Error;
use crate::proxy::request::{PathPrefix, PrefixError};

const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Puts a new beginning in the place of a route's prefix; the rest of the path and the query follow as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    cut: PathPrefix,
    put: PathPrefix,
}

impl Rewrite {
    /// Cuts the route's prefix off.
    #[must_use]
    pub fn strip(prefix: PathPrefix) -> Self {
        Self {
            cut: prefix,
            put: PathPrefix::root(),
        }
    }

    /// Puts `beginning`, which is written as in `/v2/`, in the place of the route's prefix.
    pub fn replace(prefix: PathPrefix, beginning: &str) -> Result<Self, PrefixError> {
        Ok(Self {
            cut: prefix,
            put: PathPrefix::parse(beginning)?,
        })
    }

    /// What is put in the place of the prefix, or `None` where that is cut off.
    #[must_use]
    pub fn beginning(&self) -> Option<&PathPrefix> {
        (!self.put.is_root()).then_some(&self.put)
    }

    /// The target with its new path. `*` is no path and stays.
    pub(in crate::proxy) fn apply(&self, target: &PathAndQuery) -> Result<PathAndQuery, Error> {
        let Some(rest) = target.as_str().strip_prefix(self.cut.as_str()) else {
            return Ok(target.clone());
        };
        let put = self.put.as_str();
        if rest.starts_with('*') {
            return Ok(target.clone());
        }
        let needs_slash = put.is_empty() && !rest.starts_with('/');
        let slash = if needs_slash { "/" } else { "" };
        PathAndQuery::try_from([put, slash, rest].concat()).map_err(|_| Error::Target)
    }

    /// Sets X-Forwarded-Prefix to what was cut off, so that the backend can write links.
    pub(in crate::proxy) fn set_prefix_field(&self, headers: &mut HeaderMap) {
        if self.put.is_root() && !self.cut.is_root() {
            let prefix = HeaderValue::from_str(self.cut.as_str());
            headers.insert(FORWARDED_PREFIX, prefix.expect("a prefix is visible ASCII"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_path_and_the_query_follow_as_they_came() {
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
    fn only_a_prefix_that_was_cut_off_is_told() {
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
