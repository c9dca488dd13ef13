//! Patterns of host names: one name, a wildcard of one label, or all names.

use std::fmt;

use super::host_name::{HostName, NameError};

/// A pattern of names that a site or a certificate is for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This name only.
    Exact(HostName),
    /// Every name one label below this one (RFC 6125 section 6.4.3): `*.example.org`.
    Wildcard(HostName),
    /// Every name: `*`.
    Any,
}

impl HostPattern {
    /// Parses `www.example.org`, `*.example.org` or `*`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_prefix("*.") {
            Some(base) => match HostName::parse(base)? {
                base if base.ip().is_some() => Err(NameError::Wildcard),
                base => Ok(Self::Wildcard(base)),
            },
            None => HostName::parse(text).map(Self::Exact),
        }
    }

    /// `true` if the pattern covers `name`.
    #[must_use]
    pub fn matches(&self, name: &HostName) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Wildcard(_) => name.wildcard().as_ref() == Some(self),
            Self::Any => true,
        }
    }

    /// `true` if the pattern only leads to this machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Exact(name) | Self::Wildcard(name) => name.is_loopback(),
            Self::Any => false,
        }
    }

    /// `true` if no public CA can issue for the pattern.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Exact(name) | Self::Wildcard(name) => name.is_local(),
            Self::Any => false,
        }
    }
}

impl From<HostName> for HostPattern {
    fn from(name: HostName) -> Self {
        Self::Exact(name)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name.as_str()),
            Self::Wildcard(base) => write!(f, "*.{base}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl HostName {
    /// Returns the wildcard that covers this name: `*.example.org` for `www.example.org`.
    #[must_use]
    pub fn wildcard(&self) -> Option<HostPattern> {
        if self.ip().is_some() {
            return None;
        }
        let (_, base) = self.0.split_once('.')?;
        Some(HostPattern::Wildcard(Self(base.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    #[test]
    fn a_wildcard_covers_exactly_one_label() {
        let pattern = HostPattern::parse("*.example.org").unwrap();
        assert!(pattern.matches(&name("www.example.org")));
        assert!(!pattern.matches(&name("example.org")));
        assert!(!pattern.matches(&name("a.b.example.org")));
        assert_eq!(
            HostPattern::parse("a.*.example.org"),
            Err(NameError::Wildcard)
        );
        assert_eq!(HostPattern::parse("*.127.0.0.1"), Err(NameError::Wildcard));
    }
}
