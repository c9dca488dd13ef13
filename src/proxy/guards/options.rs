//! What a site may ask of its requests.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

use super::forward_auth::ForwardAuthOptions;
use super::rate_limit::RateLimitOptions;
use crate::proxy::guards::basic_auth::BasicAuthOptions;

/// The guards of one site. What is empty or `None` is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardOptions {
    /// Where clients may come from.
    pub networks: NetworkOptions,
    /// Who may come by name and password.
    pub basic_auth: Option<BasicAuthOptions>,
    /// Who else decides.
    pub forward_auth: Option<ForwardAuthOptions>,
    /// How often requests may come; all of them hold.
    pub rate_limits: Vec<RateLimitOptions>,
    /// Bytes of a request's body.
    pub max_body: Option<u64>,
    /// Bytes of a request's head, where they are fewer than for all sites.
    pub head_size: Option<usize>,
    /// Fields of a request's head, where they are fewer than for all sites.
    pub head_fields: Option<usize>,
    /// For a request and its whole response.
    pub request_timeout: Option<Duration>,
    /// What browsers are told about plain HTTP.
    pub hsts: Option<HstsOptions>,
}

/// Networks that clients are let in from and kept out from. A client of both is kept out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Nobody else is let in, unless this is empty.
    pub allow: Vec<IpNet>,
    /// These are kept out.
    pub deny: Vec<IpNet>,
}

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

/// What browsers are told: to come over HTTPS only, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HstsOptions {
    /// From each response on. Zero takes it back.
    pub max_age: Duration,
    /// For all names below this one too.
    pub include_subdomains: bool,
    /// For the lists that browsers come with.
    pub preload: bool,
}

impl HstsOptions {
    /// The field's value.
    pub(super) fn value(&self) -> HeaderValue {
        let mut text = format!("max-age={}", self.max_age.as_secs());
        for (is_set, directive) in [
            (self.include_subdomains, "; includeSubDomains"),
            (self.preload, "; preload"),
        ] {
            if is_set {
                text.push_str(directive);
            }
        }
        HeaderValue::try_from(text).expect("a number and two words are visible ASCII")
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

    #[test]
    fn the_value_is_in_seconds_with_what_is_asked_for() {
        let value = |include_subdomains, preload| {
            let max_age = Duration::from_secs(300);
            HstsOptions {
                max_age,
                include_subdomains,
                preload,
            }
            .value()
        };
        assert_eq!(value(false, false), "max-age=300");
        assert_eq!(value(true, false), "max-age=300; includeSubDomains");
        assert_eq!(value(true, true), "max-age=300; includeSubDomains; preload");
    }
}
