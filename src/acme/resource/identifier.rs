//! Identifiers (RFC 8555 section 9.7.7 and RFC 8738): the names and addresses that certificates are for.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{HostName, HostPattern};

/// Longest name in characters, with `*.` before it.
const LONGEST: usize = 255;

/// A name or an address that a certificate is for (RFC 8555 section 7.1.4, RFC 8738).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identifier {
    /// A lower-case name of A-labels. In an order, it may begin with `*.`.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
}

impl Identifier {
    /// Returns the identifier of an order for `pattern`. Returns `None` for `*`, which no CA issues for.
    #[must_use]
    pub fn of_pattern(pattern: &HostPattern) -> Option<Self> {
        match pattern {
            HostPattern::Exact(name) => Some(name.into()),
            HostPattern::Wildcard(_) => Some(Self::Dns(pattern.to_string())),
            HostPattern::Any => None,
        }
    }

    /// Returns the identifier as the host of a URL.
    pub(in crate::acme) fn host(&self) -> String {
        match self {
            Self::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            name => name.to_string(),
        }
    }
}

impl From<&HostName> for Identifier {
    fn from(name: &HostName) -> Self {
        match name.ip() {
            Some(ip) => Self::Ip(ip),
            None => Self::Dns(name.as_str().to_owned()),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => write!(f, "{ip}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WireIdentifier {
    r#type: String,
    value: String,
}

impl WireIdentifier {
    fn parse(self) -> Option<Identifier> {
        match self.r#type.as_str() {
            "dns" => {
                is_plain(&self.value).then(|| Identifier::Dns(self.value.to_ascii_lowercase()))
            }
            "ip" => self.value.parse().ok().map(Identifier::Ip),
            _ => None,
        }
    }
}

/// Whether a text of the CA can be a name. Whatever else it is, it is not printed.
fn is_plain(name: &str) -> bool {
    name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let r#type = match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
        };
        WireIdentifier {
            r#type: r#type.to_owned(),
            value: self.to_string(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WireIdentifier::deserialize(deserializer)?
            .parse()
            .ok_or_else(|| serde::de::Error::custom("an identifier that is neither dns nor ip"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_made_from_a_name_an_address_or_a_wildcard() {
        let name = HostName::parse("www.example.org").unwrap();
        let ip = HostName::parse("::1").unwrap();
        let wildcard = HostPattern::parse("*.example.org").unwrap();
        assert_eq!(
            serde_json::to_string(&Identifier::from(&name)).unwrap(),
            r#"{"type":"dns","value":"www.example.org"}"#
        );
        assert_eq!(
            serde_json::to_string(&Identifier::from(&ip)).unwrap(),
            r#"{"type":"ip","value":"::1"}"#
        );
        assert_eq!(
            Identifier::of_pattern(&wildcard),
            Some(Identifier::Dns("*.example.org".to_owned()))
        );
        assert_eq!(Identifier::of_pattern(&HostPattern::Any), None);
    }

    #[test]
    fn what_cannot_be_a_name_is_no_identifier() {
        let read = |value: &str| {
            let json = serde_json::json!({"type": "dns", "value": value});
            serde_json::from_value::<Identifier>(json).ok()
        };
        assert!(read("_a.Example.org").is_some() && read("*.example.org").is_some());
        assert_eq!(read("a\nb"), None);
        assert_eq!(read(&"a".repeat(300)), None);
    }

    #[test]
    fn an_address_is_read_in_any_spelling() {
        let long: Identifier = serde_json::from_str(r#"{"type":"ip","value":"0:0::1"}"#).unwrap();
        assert_eq!(long, Identifier::Ip("::1".parse().unwrap()));
    }
}
