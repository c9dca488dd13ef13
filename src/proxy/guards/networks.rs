//! Client networks that a site or route allows or denies.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Loopback and the private networks of RFC 1918 and RFC 4193.
const PRIVATE: [&str; 6] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
];

/// Returns loopback and the private networks of RFC 1918 and RFC 4193.
#[must_use]
pub fn private_networks() -> Vec<IpNet> {
    let networks = PRIVATE.iter();
    networks
        .map(|network| network.parse().expect("the constants are networks"))
        .collect()
}

/// One entry of a list of client networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientNetwork {
    /// A network or a single address.
    Network(IpNet),
    /// Loopback and the private networks.
    Private,
}

impl ClientNetwork {
    fn networks(self) -> Vec<IpNet> {
        match self {
            Self::Network(network) => vec![network],
            Self::Private => private_networks(),
        }
    }
}

/// A text that is neither a network, an address nor `private`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network, an address or `private`")]
pub struct ClientNetworkError;

impl FromStr for ClientNetwork {
    type Err = ClientNetworkError;

    /// Parses a network, a single address or `private`. Ignores bits after the prefix of a network.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "private" {
            return Ok(Self::Private);
        }
        let network = match text.parse::<IpNet>() {
            Ok(network) => network.trunc(),
            Err(_) => {
                let address = text.parse::<IpAddr>().map_err(|_| ClientNetworkError)?;
                address.to_canonical().into()
            }
        };
        Ok(Self::Network(network))
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "{network}"),
            Self::Private => f.write_str("private"),
        }
    }
}

/// Networks that clients are allowed or denied from. A client in both is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Networks of allowed clients. If empty, all networks are allowed.
    pub allow: Vec<ClientNetwork>,
    /// Networks of denied clients.
    pub deny: Vec<ClientNetwork>,
}

/// The networks of [`NetworkOptions`], ready for requests.
#[derive(Debug)]
pub(super) struct Networks {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl Networks {
    /// Returns `None` if every client is admitted.
    pub(super) fn new(options: &NetworkOptions) -> Option<Self> {
        let networks = |entries: &[ClientNetwork]| -> Vec<IpNet> {
            entries.iter().flat_map(|entry| entry.networks()).collect()
        };
        let (allow, deny) = (networks(&options.allow), networks(&options.deny));
        (!allow.is_empty() || !deny.is_empty()).then_some(Self { allow, deny })
    }

    /// `true` if clients must come from one of some networks.
    pub(super) fn has_allowed(&self) -> bool {
        !self.allow.is_empty()
    }

    /// `true` if a client with this address is denied.
    pub(super) fn denies(&self, client: IpAddr) -> bool {
        contains(&self.deny, client)
    }

    /// `true` if a client with this address is allowed.
    pub(super) fn allows(&self, client: IpAddr) -> bool {
        self.allow.is_empty() || contains(&self.allow, client)
    }
}

fn contains(networks: &[IpNet], client: IpAddr) -> bool {
    // An IPv6 socket shows the address of an IPv4 client in its mapped form.
    let client = client.to_canonical();
    networks.iter().any(|network| network.contains(&client))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(allow: &[&str], deny: &[&str]) -> NetworkOptions {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        NetworkOptions {
            allow: parse(allow),
            deny: parse(deny),
        }
    }

    fn admitted(networks: &NetworkOptions, clients: &[&str]) -> Vec<bool> {
        let networks = Networks::new(networks).unwrap();
        let admit = |client: &&str| {
            let client = client.parse().unwrap();
            networks.allows(client) && !networks.denies(client)
        };
        clients.iter().map(admit).collect()
    }

    #[test]
    fn only_allowed_clients_are_admitted_and_denied_ones_never() {
        let networks = networks(
            &["10.0.0.0/8", "2001:db8::/32"],
            &["10.1.0.0/16", "2001:db8::7/128"],
        );
        let clients = [
            "10.0.0.1",
            "10.1.0.1",
            "11.0.0.1",
            "2001:db8::8",
            "2001:db8::7",
            "::1",
        ];
        assert_eq!(
            admitted(&networks, &clients),
            [true, false, false, true, false, false]
        );
    }

    #[test]
    fn without_allowed_networks_all_but_the_denied_are_admitted() {
        let networks = networks(&[], &["192.0.2.0/24"]);
        assert_eq!(
            admitted(&networks, &["192.0.2.7", "192.0.3.7", "::1"]),
            [false, true, true]
        );
    }

    #[test]
    fn networks_are_parsed_with_and_without_a_prefix_length() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("private", "private"),
        ] {
            let parsed: ClientNetwork = text.parse().unwrap();
            assert_eq!(parsed.to_string(), network);
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "example.org", "10.0.0.0/8 "] {
            assert!(text.parse::<ClientNetwork>().is_err(), "{text}");
        }
    }

    #[test]
    fn private_means_loopback_and_the_networks_that_the_internet_does_not_route() {
        let networks = networks(&["private"], &["10.0.0.66"]);
        let clients = [
            "127.0.0.1",
            "10.9.9.9",
            "172.31.0.1",
            "192.168.1.1",
            "::1",
            "fd00::1",
            "::ffff:192.168.1.1",
        ];
        assert_eq!(admitted(&networks, &clients), [true; 7]);
        let others = [
            "10.0.0.66",
            "172.32.0.1",
            "192.0.2.1",
            "100.64.0.1",
            "2001:db8::1",
        ];
        assert_eq!(admitted(&networks, &others), [false; 5]);
    }

    #[test]
    fn an_ipv4_mapped_address_belongs_to_its_ipv4_network() {
        let networks = networks(&[], &["192.0.2.0/24"]);
        assert_eq!(admitted(&networks, &["::ffff:192.0.2.7"]), [false]);
    }
}
