//! Trusted peers, whose information about their clients is believed: networks, addresses and CDNs.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::report::Problem;
use crate::proxy::private_networks;

/// A CDN whose published networks are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cdn {
    /// Cloudflare.
    Cloudflare,
    /// Fastly.
    Fastly,
}

impl Cdn {
    const ALL: [Self; 2] = [Self::Cloudflare, Self::Fastly];

    fn name(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Fastly => "fastly",
        }
    }

    fn list(self) -> &'static str {
        match self {
            Self::Cloudflare => include_str!("cdn_networks/cloudflare.txt"),
            Self::Fastly => include_str!("cdn_networks/fastly.txt"),
        }
    }

    /// Returns the date of the built-in list of its networks.
    #[must_use]
    pub fn published(self) -> &'static str {
        let mut lines = self.list().lines();
        lines
            .find_map(|line| line.strip_prefix("# published: "))
            .unwrap_or_default()
    }

    fn networks(self) -> impl Iterator<Item = IpNet> {
        let lines = self.list().lines();
        lines
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.parse().expect("the lists have a network on each line"))
    }
}

/// One entry of `trust`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedPeer {
    /// A network or a single address.
    Network(IpNet),
    /// Loopback and the private networks.
    Private,
    /// The networks of a CDN.
    Cdn(Cdn),
}

impl TrustedPeer {
    /// Returns the networks of the entry.
    #[must_use]
    pub fn networks(self) -> Vec<IpNet> {
        match self {
            Self::Network(network) => vec![network],
            Self::Private => private_networks(),
            Self::Cdn(cdn) => cdn.networks().collect(),
        }
    }
}

impl fmt::Display for TrustedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())
            }
            Self::Network(network) => write!(f, "{network}"),
            Self::Private => f.write_str("private"),
            Self::Cdn(cdn) => f.write_str(cdn.name()),
        }
    }
}

/// Parses a network, an address, `private` or the name of a CDN.
pub(crate) fn parse_peer(text: &str) -> Result<TrustedPeer, Problem> {
    if text == "private" {
        return Ok(TrustedPeer::Private);
    }
    if let Some(cdn) = Cdn::ALL.into_iter().find(|cdn| cdn.name() == text) {
        return Ok(TrustedPeer::Cdn(cdn));
    }
    let network = match text.parse::<IpAddr>() {
        Ok(ip) => Ok(IpNet::from(ip.to_canonical())),
        Err(_) => text.parse::<IpNet>(),
    };
    let network = network.map_err(|_| Problem::TrustedPeer(text.to_owned()))?;
    if network.prefix_len() == 0 {
        return Err(Problem::TrustsAll(network));
    }
    if network.trunc() != network {
        return Err(Problem::NetworkBits {
            text: text.to_owned(),
            network: network.trunc(),
        });
    }
    Ok(TrustedPeer::Network(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_cdns_are_complete_and_dated() {
        for (cdn, member, count) in [
            (Cdn::Cloudflare, "104.16.0.1", 22),
            (Cdn::Cloudflare, "2606:4700::1", 22),
            (Cdn::Fastly, "151.101.1.1", 21),
            (Cdn::Fastly, "2a04:4e42::1", 21),
        ] {
            let networks: Vec<_> = cdn.networks().collect();
            assert_eq!(networks.len(), count);
            let member: IpAddr = member.parse().unwrap();
            assert!(networks.iter().any(|network| network.contains(&member)));
            assert!(networks.iter().all(|network| network.trunc() == *network));
            assert_eq!(cdn.published().len(), "2026-10-14".len());
        }
    }

    #[test]
    fn a_peer_prints_as_it_was_parsed() {
        for text in [
            "10.0.0.0/8",
            "192.0.2.7",
            "2001:db8::/32",
            "::1",
            "private",
            "cloudflare",
            "fastly",
        ] {
            assert_eq!(parse_peer(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "cloud",
            "10.0.0.1/8",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/33",
            "example.org",
        ] {
            assert!(parse_peer(text).is_err(), "{text:?}");
        }
    }
}
