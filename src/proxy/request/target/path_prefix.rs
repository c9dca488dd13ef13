//! Path prefixes, which match whole segments. Knows no routes.

use std::cmp::Ordering;
use std::fmt;

/// Reason why a text is not a valid path prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The text does not begin with a slash.
    #[error("a path prefix must begin with a slash; use a form like `/api/`")]
    Slash,
    /// The text has an empty or a dot segment.
    #[error("a path prefix cannot have a `//`, `.` or `..`; use a form like `/api/`")]
    Segment,
    /// The text has a wildcard, which prefixes do not need.
    #[error("`{text}` has a wildcard; use `{covering}`, which covers all below it")]
    Wildcard {
        /// The text.
        text: String,
        /// Prefix before the segment with the wildcard.
        covering: PathPrefix,
    },
    /// The text has a wildcard within a segment, which no prefix can express.
    #[error(
        "`{text}` has a wildcard, but a prefix covers whole segments only; write a route for each of them, as for `{segment}`"
    )]
    PartOfSegment {
        /// The text.
        text: String,
        /// Prefix that ends where the wildcard stands.
        segment: PathPrefix,
    },
    /// The text has a character that paths can spell in several ways or cannot have.
    #[error(
        "a path prefix can only have letters, digits, slashes and `-._~!$&'()+,=:@`; other characters and percent-encoding are not allowed"
    )]
    Character,
}

/// A prefix of whole segments: `/api` stands for `/api` and all paths below it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// Prefix of all paths.
    #[must_use]
    pub fn root() -> Self {
        Self(Box::default())
    }

    /// Parses `/api` or `/api/`, which mean the same.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(PrefixError::Slash);
        };
        if let Some((before, _)) = text.split_once('*') {
            let (text, prefix) = (text.to_owned(), Self::parse(before)?);
            return Err(if before.ends_with('/') {
                PrefixError::Wildcard {
                    text,
                    covering: prefix,
                }
            } else {
                PrefixError::PartOfSegment {
                    text,
                    segment: prefix,
                }
            });
        }
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()+,=:@".contains(&byte);
        if !text.bytes().all(is_plain) {
            return Err(PrefixError::Character);
        }
        if text == "/" {
            return Ok(Self::root());
        }
        if inner
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(PrefixError::Segment);
        }
        Ok(Self(text[..=inner.len()].into()))
    }

    /// `true` if it is the prefix of all paths.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Prefix without a slash at its end. Empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `true` if the first segments of the path are the prefix.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.0.as_bytes())
            .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
    }

    /// Like [`Self::covers`], but ignores the case of letters.
    pub(crate) fn covers_without_case(&self, path: &[u8]) -> bool {
        let (prefix, len) = (self.0.as_bytes(), self.0.len());
        path.get(..len)
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            && path.get(len).is_none_or(|byte| *byte == b'/')
    }

    /// Compares in an order in which a prefix is directly followed by all paths that it covers.
    pub(crate) fn compare(&self, path: &[u8]) -> Ordering {
        let slash_first = |byte: u8| if byte == b'/' { 0 } else { byte };
        let path = path.iter().copied();
        self.0.bytes().map(slash_first).cmp(path.map(slash_first))
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "/" } else { &self.0 })
    }
}

impl fmt::Debug for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_prefixes_are_refused() {
        for (text, error) in [
            ("", PrefixError::Slash),
            ("api", PrefixError::Slash),
            ("//", PrefixError::Segment),
            ("/a//b", PrefixError::Segment),
            ("/a/../b", PrefixError::Segment),
            ("/.", PrefixError::Segment),
            ("/a?b", PrefixError::Character),
            ("/a%20b", PrefixError::Character),
            ("/a b", PrefixError::Character),
            ("/é", PrefixError::Character),
            ("/a#*", PrefixError::Character),
        ] {
            assert_eq!(PathPrefix::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_wildcard_is_refused_with_the_prefix_that_covers_the_same() {
        for (text, covering) in [
            ("/api/*", "/api"),
            ("/api/**", "/api"),
            ("/api/*/users", "/api"),
            ("/*", "/"),
        ] {
            let error = PathPrefix::parse(text).unwrap_err().to_string();
            let expected =
                format!("`{text}` has a wildcard; use `{covering}`, which covers all below it");
            assert_eq!(error, expected);
        }
        let error = PathPrefix::parse("/v1/api*").unwrap_err().to_string();
        assert!(
            error.contains("whole segments only") && error.ends_with("as for `/v1/api`"),
            "{error}"
        );
    }
}
