//! Networks of proxies that are trusted to speak for other clients.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks of proxies that are trusted to name the client they speak for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Box<[IpNet]>);

impl TrustedProxies {
    /// Trusts all hosts of these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let networks: Vec<_> = networks.into_iter().collect();
        Self(IpNet::aggregate(&networks).into())
    }

    /// `true` if a host is in one of the networks. An IPv4-mapped IPv6 address counts as its IPv4 address.
    #[must_use]
    pub fn contains(&self, host: IpAddr) -> bool {
        let host = host.to_canonical();
        self.0.iter().any(|network| network.contains(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_trusted_by_its_network_even_if_ipv4_mapped() {
        let networks = ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"];
        let trust = TrustedProxies::new(networks.map(|network| network.parse().unwrap()));
        for (host, is_trusted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(trust.contains(host.parse().unwrap()), is_trusted, "{host}");
        }
        assert!(!TrustedProxies::default().contains("127.0.0.1".parse().unwrap()));
    }
}
