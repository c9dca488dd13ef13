//! Host names in their canonical form.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reasons why a text is not a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
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
pub struct HostName(pub(super) Arc<str>);

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

    /// `true` if the name only leads to this machine itself: `localhost`, `*.localhost` and loopback addresses.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.to_canonical().is_loopback(),
            None => self.is_below("localhost"),
        }
    }

    /// `true` if no public CA can issue for the name: `localhost`, `*.localhost`, `*.internal`, `*.home.arpa`, `*.test` and
    /// addresses that are not globally reachable.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.ip() {
            Some(IpAddr::V4(ip)) => is_private_v4(ip),
            Some(IpAddr::V6(ip)) => is_private_v6(ip),
            None => ["localhost", "internal", "home.arpa", "test"]
                .iter()
                .any(|local| self.is_below(local)),
        }
    }

    /// `true` if the name is `domain` or below it.
    fn is_below(&self, domain: &str) -> bool {
        let rest = self.0.strip_suffix(domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
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
    fn other_texts_are_refused_with_the_reason() {
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
    fn local_names_are_those_that_no_public_ca_issues_for() {
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
            let is_loopback = matches!(local, "localhost" | "app.localhost" | "::1");
            assert_eq!(name(local).is_loopback(), is_loopback, "{local}");
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
