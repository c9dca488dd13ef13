//! The one lookup rule that SNI, Host and the configuration share.

use std::borrow::Cow;
use std::collections::HashMap;

use super::host_name::{HostName, parse_ip};
use super::host_pattern::HostPattern;

/// Values by host pattern: an exact name has precedence over its wildcard, and that over `*`.
#[derive(Clone, Debug)]
pub struct NameMap<T> {
    exact: HashMap<HostName, T>,
    wildcard: HashMap<HostName, T>,
    any: Option<T>,
}

impl<T> NameMap<T> {
    /// Creates an empty map.
    #[must_use]
    pub fn new() -> Self {
        Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: None,
        }
    }

    /// Sets the value of a pattern, and returns its former one.
    pub fn insert(&mut self, pattern: HostPattern, value: T) -> Option<T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.insert(name, value),
            HostPattern::Wildcard(base) => self.wildcard.insert(base, value),
            HostPattern::Any => self.any.replace(value),
        }
    }

    /// Returns the value for a host as a peer wrote it, without its port. Case and a trailing dot do not matter. Allocates
    /// only for hosts that are not in canonical form.
    #[must_use]
    pub fn lookup(&self, host: &str) -> Option<&T> {
        let host = canonical(host);
        if let Some(value) = self.exact.get(&*host) {
            return Some(value);
        }
        if !self.wildcard.is_empty()
            && let Some((label, base)) = host.split_once('.')
            && !label.is_empty()
            && let Some(value) = self.wildcard.get(base)
        {
            return Some(value);
        }
        self.any.as_ref()
    }

    /// Returns the value of exactly this pattern.
    #[must_use]
    pub fn get(&self, pattern: &HostPattern) -> Option<&T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::Wildcard(base) => self.wildcard.get(base),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// Iterates over all patterns and their values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (HostPattern, &T)> {
        let exact = self
            .exact
            .iter()
            .map(|(name, value)| (HostPattern::Exact(name.clone()), value));
        let wildcard = self
            .wildcard
            .iter()
            .map(|(base, value)| (HostPattern::Wildcard(base.clone()), value));
        exact
            .chain(wildcard)
            .chain(self.any.iter().map(|value| (HostPattern::Any, value)))
    }

    /// Returns the number of patterns with a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcard.len() + usize::from(self.any.is_some())
    }

    /// `true` if no pattern has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for NameMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FromIterator<(HostPattern, T)> for NameMap<T> {
    fn from_iter<I: IntoIterator<Item = (HostPattern, T)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (pattern, value) in entries {
            map.insert(pattern, value);
        }
        map
    }
}

fn canonical(host: &str) -> Cow<'_, str> {
    if host.contains(':') {
        return parse_ip(host).map_or(Cow::Borrowed(host), |ip| Cow::Owned(ip.to_string()));
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_wins() {
        let map: NameMap<u8> = [
            ("www.example.org", 1),
            ("*.example.org", 2),
            ("*", 3),
            ("::1", 4),
        ]
        .into_iter()
        .map(|(pattern, value)| (HostPattern::parse(pattern).unwrap(), value))
        .collect();
        for (host, value) in [
            ("www.example.org", 1),
            ("WWW.example.org.", 1),
            ("api.example.org", 2),
            ("a.b.example.org", 3),
            ("example.org", 3),
            ("[::1]", 4),
            (".example.org", 3),
        ] {
            assert_eq!(map.lookup(host), Some(&value), "{host}");
        }
        assert_eq!(NameMap::<u8>::new().lookup("www.example.org"), None);
    }
}
