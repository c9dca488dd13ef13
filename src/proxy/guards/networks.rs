//! Client networks that a site allows or denies.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks that clients are allowed or denied from. A client in both is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Networks of allowed clients. If empty, all networks are allowed.
    pub allow: Vec<IpNet>,
    /// Networks of denied clients.
    pub deny: Vec<IpNet>,
}

impl NetworkOptions {
    /// `true` if every client is admitted.
    pub(super) fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// `true` if a client with this address is admitted.
    pub(super) fn admits(&self, client: IpAddr) -> bool {
        // An IPv6 socket shows the address of an IPv4 client in its mapped form.
        let client = client.to_canonical();
        let is_allowed =
            self.allow.is_empty() || self.allow.iter().any(|network| network.contains(&client));
        is_allowed && !self.deny.iter().any(|network| network.contains(&client))
    }
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
        let admit = |client: &&str| networks.admits(client.parse().unwrap());
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
    fn an_ipv4_mapped_address_belongs_to_its_ipv4_network() {
        let networks = networks(&[], &["192.0.2.0/24"]);
        assert_eq!(admitted(&networks, &["::ffff:192.0.2.7"]), [false]);
    }
}
