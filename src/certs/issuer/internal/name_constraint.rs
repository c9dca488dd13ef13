//! Name constraints of the internal CA: domains and networks for which its root may sign.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use x509_parser::prelude::{GeneralName, X509Certificate};

use crate::name::{HostName, HostPattern};

/// Permitted subtree (RFC 5280 section 4.2.1.10).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameConstraint {
    /// A domain and every name below it.
    Domain(HostName),
    /// The addresses of a network.
    Network(IpNet),
}

impl NameConstraint {
    /// Parses a domain, a network such as `10.0.0.0/8`, or a single address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self::Network(ip.into()));
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(Self::Network(network.trunc()));
        }
        HostName::parse(text)
            .ok()
            .filter(|name| name.ip().is_none())
            .map(Self::Domain)
    }

    /// Whether every name that `subject` covers is permitted.
    #[must_use]
    pub fn permits(&self, subject: &HostPattern) -> bool {
        let (HostPattern::Exact(name) | HostPattern::Wildcard(name)) = subject else {
            return false;
        };
        match (self, name.ip()) {
            (Self::Network(network), Some(ip)) => network.contains(&ip),
            (Self::Domain(domain), None) => name
                .as_str()
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            _ => false,
        }
    }

    fn subtree(&self) -> GeneralSubtree {
        match self {
            Self::Domain(domain) => GeneralSubtree::DnsName(domain.to_string()),
            Self::Network(network) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
                network.addr(),
                network.prefix_len(),
            )),
        }
    }

    fn of_subtree(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Self::parse(name),
            GeneralName::IPAddress(octets) => network(octets).map(Self::Network),
            _ => None,
        }
    }
}

/// Parses an address followed by a mask of the same length.
fn network(octets: &[u8]) -> Option<IpNet> {
    let ip = |octets: &[u8]| match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    };
    let (address, mask) = octets.split_at(octets.len() / 2);
    IpNet::with_netmask(ip(address)?, ip(mask)?).ok()
}

impl fmt::Display for NameConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// Creates the extension that permits these subtrees and nothing else. A name type without a permitted subtree would be
/// unrestricted, so it is excluded entirely.
pub(super) fn extension(permitted: &[NameConstraint]) -> Option<NameConstraints> {
    if permitted.is_empty() {
        return None;
    }
    let is_domain = |constraint: &NameConstraint| matches!(constraint, NameConstraint::Domain(_));
    let mut excluded_subtrees = Vec::new();
    if !permitted.iter().any(is_domain) {
        excluded_subtrees.push(GeneralSubtree::DnsName(String::new()));
    }
    if permitted.iter().all(is_domain) {
        let all = [
            CidrSubnet::V4([0; 4], [0; 4]),
            CidrSubnet::V6([0; 16], [0; 16]),
        ];
        excluded_subtrees.extend(all.map(GeneralSubtree::IpAddress));
    }
    Some(NameConstraints {
        permitted_subtrees: permitted.iter().map(NameConstraint::subtree).collect(),
        excluded_subtrees,
    })
}

/// Returns the permitted subtrees of a CA certificate, sorted; empty if it has no constraints.
pub(super) fn permitted(ca: &X509Certificate<'_>) -> Vec<NameConstraint> {
    let extension = ca.name_constraints().ok().flatten();
    let subtrees = extension.and_then(|extension| extension.value.permitted_subtrees.as_ref());
    let mut permitted: Vec<_> = subtrees
        .into_iter()
        .flatten()
        .filter_map(|subtree| NameConstraint::of_subtree(&subtree.base))
        .collect();
    permitted.sort();
    permitted
}

/// Lists constraints in one line for messages.
pub(in crate::certs::issuer) fn list(constraints: &[NameConstraint]) -> String {
    match constraints {
        [] => "all local names".to_owned(),
        _ => constraints
            .iter()
            .map(NameConstraint::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_parsed_from_a_domain_or_a_network() {
        for (text, printed) in [
            ("home.arpa", "home.arpa"),
            ("Home.Arpa.", "home.arpa"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("192.168.1.7", "192.168.1.7/32"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(NameConstraint::parse(text).unwrap().to_string(), printed);
        }
        for text in [
            "",
            "*",
            "*.home.arpa",
            "10.0.0.0/33",
            "10.0.0/8",
            "[::1]",
            "a b",
        ] {
            assert_eq!(NameConstraint::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_subject_is_permitted_by_whole_labels_and_by_network() {
        for (constraint, subject, is_permitted) in [
            ("home.arpa", "home.arpa", true),
            ("home.arpa", "nas.home.arpa", true),
            ("home.arpa", "*.home.arpa", true),
            ("home.arpa", "nothome.arpa", false),
            ("home.arpa", "10.0.0.1", false),
            ("lab.home.arpa", "*.home.arpa", false),
            ("10.0.0.0/8", "10.200.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "nas.home.arpa", false),
            ("10.0.0.0/8", "::1", false),
            ("home.arpa", "*", false),
        ] {
            let constraint = NameConstraint::parse(constraint).unwrap();
            let subject = HostPattern::parse(subject).unwrap();
            assert_eq!(
                constraint.permits(&subject),
                is_permitted,
                "{constraint} {subject}"
            );
        }
    }
}
