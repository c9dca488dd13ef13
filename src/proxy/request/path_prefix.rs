//! The beginning of a path, on segment borders. Knows no routes.

use std::cmp::Ordering;
use std::fmt;

/// Why a text is no prefix of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Paths begin with a slash.
    #[error("a prefix of paths begins with a slash; write it as in `/api/`")]
    Slash,
    /// `//`, `/./` or `/../`: paths that go there are refused.
    #[error("a prefix of paths has no `//`, `.` or `..` in it; write it as in `/api/`")]
    Segment,
    /// A character that paths spell in more than one way, or that no path has.
    #[error(
        "a prefix of paths is made of letters, digits, slashes and `-._~!$&'()*+,=:@`; leave all else out, percent-encoding too"
    )]
    Character,
}

/// The beginning of a path, of whole segments: `/api` for `/api` and all below it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// The prefix of all paths.
    #[must_use]
    pub fn root() -> Self {
        Self(Box::default())
    }

    /// Parses `/api` or `/api/`, which mean the same.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(PrefixError::Slash);
        };
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&byte);
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

    /// Whether all paths begin with it.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The prefix without a slash at its end: empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path begins with it, on the border of a segment.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.0.as_bytes())
            .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
    }

    /// The order in which all that a prefix covers comes right behind it.
    pub(in crate::proxy) fn compare(&self, path: &[u8]) -> Ordering {
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
    fn what_is_no_prefix_is_refused() {
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
            ("/a*#", PrefixError::Character),
        ] {
            assert_eq!(PathPrefix::parse(text), Err(error), "{text}");
        }
    }
}
