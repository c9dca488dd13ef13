//! Names of DNS services, and the targets in their SRV records (RFC 2782).

use std::fmt;
use std::sync::Arc;

use crate::name::HostName;

/// Maximum length of a DNS name, in characters.
const MAX_NAME: usize = 253;

/// Name of a DNS service, such as `_http._tcp.app.example.org`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SrvName {
    name: Arc<str>,
    domain: HostName,
}

impl SrvName {
    /// Parses a host name that may begin with labels such as `_http._tcp`. Returns `None` if it is not valid.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut labels = String::new();
        let mut rest = text;
        while rest.starts_with('_') {
            let (label, next) = rest.split_once('.')?;
            labels.push_str(&service_label(label)?);
            labels.push('.');
            rest = next;
        }
        let domain = HostName::parse(rest).ok()?;
        let name = format!("{labels}{domain}");
        (domain.ip().is_none() && name.len() <= MAX_NAME).then(|| Self {
            name: name.into(),
            domain,
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.name
    }

    /// Domain of the service: the name without labels such as `_http._tcp`.
    pub(super) fn domain(&self) -> &HostName {
        &self.domain
    }
}

impl fmt::Display for SrvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn service_label(label: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = (2..=63).contains(&label.len()) && label.bytes().all(is_part);
    is_label.then(|| label.to_ascii_lowercase())
}

/// Target of one SRV record: a host and port where the service runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SrvTarget {
    pub(super) host: HostName,
    pub(super) port: u16,
    /// Share of the requests, relative to the other targets; never 0.
    pub(super) weight: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_are_parsed_as_in_dns() {
        for (written, name) in [
            ("_http._tcp.app.example.org", "_http._tcp.app.example.org"),
            ("_HTTP._TCP.App.Example.org.", "_http._tcp.app.example.org"),
            ("app.service.consul", "app.service.consul"),
        ] {
            let parsed = SrvName::parse(written).unwrap();
            assert_eq!(parsed.as_str(), name);
            assert!(name.ends_with(parsed.domain().as_str()));
            assert!(!parsed.domain().as_str().contains('_'));
            assert!(hickory_proto::rr::Name::from_ascii(name).is_ok());
        }
        let long = format!("_{}.example.org", "a".repeat(63));
        for written in [
            "",
            "_http._tcp",
            "_http",
            "_.example.org",
            "_a b.c",
            "_a.b:80",
            "_a.10.0.0.1",
            &long,
        ] {
            assert!(SrvName::parse(written).is_none(), "{written:?}");
        }
    }
}
