//! Host names, the patterns that match them, and the one lookup rule that SNI, Host and the configuration share. Knows no
//! room.

use std::borrow::{Borrow, Cow};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reasons why a text is not a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was left after the trailing dot.
    #[error("the name is empty")]
    Empty,
    /// RFC 1035 section 2.3.4 limits a name to 253 visible characters.
    #[error("the name is longer than 253 characters")]
    TooLong,
    /// Two dots in a row, or a leading one.
    #[error("the name has an empty label")]
    EmptyLabel,
    /// RFC 1035 section 2.3.4 limits a label to 63 characters.
    #[error("a label of the name is longer than 63 characters")]
    LabelTooLong,
    /// RFC 5890 section 2.3.1.
    #[error("a label of the name starts or ends with a hyphen")]
    Hyphen,
    /// A character that no host name can have, or a Unicode name that IDNA refuses.
    #[error("the name has a character that a host name cannot have")]
    Character,
    /// The last label is a number, so the name looks like an IPv4 address.
    #[error("the name ends in a number but is not an IP address")]
    Number,
    /// A `*` that is not the whole first label.
    #[error("a wildcard must be the whole first label, like in `*.example.org`")]
    Wildcard,
}

/// A host name: lower-case A-labels without a trailing dot, or an IP address in its canonical text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

impl HostName {
    /// Parses a name as users and peers write it: in any case, in Unicode, with one trailing dot, or as an IPv6 address with
    /// or without brackets. A port is not part of a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if let Some(ip) = parse_ip(text) {
            return Ok(Self(ip.to_string().into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let name = if name.is_ascii() {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(idna::domain_to_ascii(name).map_err(|_| NameError::Character)?)
        };
        check(&name)?;
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the IP address, if the name is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// `true` if no public CA can issue for the name, so that the internal CA does: `localhost`, `*.localhost`,
    /// `*.internal`, `*.home.arpa`, `*.test` and addresses that are not globally reachable.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.ip() {
            Some(IpAddr::V4(ip)) => is_private_v4(ip),
            Some(IpAddr::V6(ip)) => is_private_v6(ip),
            None => ["localhost", "internal", "home.arpa", "test"]
                .iter()
                .any(|local| {
                    self.0
                        .strip_suffix(local)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                }),
        }
    }

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

fn parse_ip(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > 253 {
        return Err(NameError::TooLong);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.len() > 63 {
            return Err(NameError::LabelTooLong);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(NameError::Hyphen);
        }
        if label.contains('*') {
            return Err(NameError::Wildcard);
        }
        if !label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        {
            return Err(NameError::Character);
        }
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    // The system also accepts hexadecimal numbers as addresses, and no certificate can have such a name.
    let digits = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_digit = |byte: u8| match digits {
        Some(_) => byte.is_ascii_hexdigit(),
        None => byte.is_ascii_digit(),
    };
    if digits.unwrap_or(last).bytes().all(is_digit) {
        Err(NameError::Number)
    } else {
        Ok(())
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    match ip.to_ipv4_mapped() {
        Some(v4) => is_private_v4(v4),
        None => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

impl FromStr for HostName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl From<IpAddr> for HostName {
    fn from(ip: IpAddr) -> Self {
        Self(ip.to_string().into())
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for HostName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

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

impl FromStr for HostPattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
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

/// Values by host pattern: the exact name wins over its one-label wildcard, which wins over `*`.
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

    fn name(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    #[test]
    fn names_are_brought_to_one_form() {
        for (written, canonical) in [
            ("WWW.Example.ORG.", "www.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("[0:0::1]", "::1"),
            ("a_b.example.org", "a_b.example.org"),
        ] {
            assert_eq!(name(written).as_str(), canonical);
        }
    }

    #[test]
    fn texts_that_are_no_names_are_refused_with_the_reason() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(60).as_str(); 5].join(".");
        for (text, reason) in [
            ("", NameError::Empty),
            (".", NameError::Empty),
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("-a.example", NameError::Hyphen),
            ("a-.example", NameError::Hyphen),
            ("a b.example", NameError::Character),
            ("a\0b.example", NameError::Character),
            ("a/b", NameError::Character),
            ("../etc", NameError::EmptyLabel),
            ("1.2.3", NameError::Number),
            ("256.1.1.1", NameError::Number),
            ("0x7f000001", NameError::Number),
            ("127.0X1", NameError::Number),
            ("a.0x", NameError::Number),
            ("*.example.org", NameError::Wildcard),
            (long_label.as_str(), NameError::LabelTooLong),
            (long_name.as_str(), NameError::TooLong),
        ] {
            assert_eq!(HostName::parse(text), Err(reason), "{text:?}");
        }
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

    #[test]
    fn local_names_are_those_that_no_public_ca_signs() {
        for local in [
            "localhost",
            "app.localhost",
            "nas.home.arpa",
            "db.internal",
            "x.test",
            "10.0.0.1",
            "::1",
            "fd00::1",
        ] {
            assert!(name(local).is_local(), "{local}");
        }
        for public in [
            "example.org",
            "notlocalhost",
            "mytest",
            "8.8.8.8",
            "2001:db8::1",
            "test.example.org",
        ] {
            assert!(!name(public).is_local(), "{public}");
        }
    }
}
