//! Who may come, by address.

use std::net::IpAddr;

use super::options::NetworkOptions;

impl NetworkOptions {
    /// Whether nothing is said of any network.
    pub(super) fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a client of this address is let in.
    pub(super) fn admit(&self, client: IpAddr) -> bool {
        // An IPv4 client of an IPv6 socket is one of its IPv4 network.
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
        let admit = |client: &&str| networks.admit(client.parse().unwrap());
        clients.iter().map(admit).collect()
    }

    #[test]
    fn only_the_allowed_come_in_and_the_denied_never() {
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
    fn everybody_else_comes_in_where_some_are_denied() {
        let networks = networks(&[], &["192.0.2.0/24"]);
        assert_eq!(
            admitted(&networks, &["192.0.2.7", "192.0.3.7", "::1"]),
            [false, true, true]
        );
    }

    #[test]
    fn an_address_written_as_ipv6_does_not_come_around_its_ipv4_network() {
        let networks = networks(&[], &["192.0.2.0/24"]);
        assert_eq!(admitted(&networks, &["::ffff:192.0.2.7"]), [false]);
    }
}
