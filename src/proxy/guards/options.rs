//! Options of a site's guards.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

use super::forward_auth::ForwardAuthOptions;
use super::rate_limit::RateLimitOptions;
use crate::proxy::guards::basic_auth::BasicAuthOptions;

/// Options of the guards of one site. Those that are empty or `None` are off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardOptions {
    /// Networks that clients may connect from.
    pub networks: NetworkOptions,
    /// User names and passwords.
    pub basic_auth: Option<BasicAuthOptions>,
    /// Server that decides about each request.
    pub forward_auth: Option<ForwardAuthOptions>,
    /// Rate limits, all of which apply.
    pub rate_limits: Vec<RateLimitOptions>,
    /// Maximum size of a request's body, in bytes.
    pub max_body: Option<u64>,
    /// Maximum size of a request's head in bytes, if lower than the limit for all sites.
    pub head_size: Option<usize>,
    /// Maximum number of a request's header fields, if lower than the limit for all sites.
    pub head_fields: Option<usize>,
    /// Maximum time from a request to the end of its response.
    pub request_timeout: Option<Duration>,
    /// Strict-Transport-Security for the site's responses.
    pub hsts: Option<HstsOptions>,
}

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

/// Tells browsers to use HTTPS only (RFC 6797).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HstsOptions {
    /// Time for which browsers remember it, from each response on. Zero makes them forget it.
    pub max_age: Duration,
    /// Whether it applies to all subdomains too.
    pub include_subdomains: bool,
    /// Whether the site may be added to the preload lists of browsers.
    pub preload: bool,
}

impl HstsOptions {
    /// Value of Strict-Transport-Security.
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

    #[test]
    fn the_hsts_value_is_in_seconds_with_the_chosen_directives() {
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
