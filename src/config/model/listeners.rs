//! The listeners of a configuration, and whether they fit together and to the sites.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::report::ListenerProblem;
use crate::listener_names::DEFAULT_LISTENER;
use crate::proxy::HttpMode;
use crate::server::ListenerOptions;
use crate::upstream;

use super::config::Config;
use super::site::SiteConfig;

impl Config {
    /// Returns the names of the listeners in the order of the configuration.
    pub fn listener_names(&self) -> impl Iterator<Item = &str> {
        let mut seen = HashSet::new();
        let names = self.listen.all().map(|listener| listener.name.as_str());
        names.filter(move |name| seen.insert(*name))
    }

    /// Returns true if a request to `address` would loop back to the proxy itself.
    pub(crate) fn listens_on(&self, address: &upstream::Address) -> bool {
        let (Some(host), Some(port)) = (address.host(), address.port()) else {
            return false;
        };
        let ips = match host.ip() {
            Some(ip) => vec![ip],
            None if host.as_str() == "localhost" => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            None => Vec::new(),
        };
        let is_own = |ip: IpAddr| {
            let mut listeners = self.listen.all();
            listeners.any(|own| upstream::is_listener(own.address, (ip, port).into()))
        };
        ips.into_iter().any(is_own)
    }

    /// Returns the problems of addresses that cannot be listened on at the same time, except those of metrics and the page.
    pub(crate) fn address_conflicts(&self) -> Vec<ListenerProblem> {
        let (http, https) = (&self.listen.http, &self.listen.https);
        let shared = https.iter().filter(|https| {
            let mut http = http.iter();
            http.any(|http| is_shared(http.address, https.address))
        });
        let shared = shared.map(|https| ListenerProblem::SharedPort(https.address));
        let same = [http, https]
            .into_iter()
            .flat_map(|listeners| same(listeners));
        shared
            .chain(same.map(ListenerProblem::SameAddress))
            .collect()
    }

    /// Returns the problem that metrics share an address with another listener, if they do.
    pub(crate) fn shared_metrics(&self) -> Option<ListenerProblem> {
        let metrics = self.metrics?;
        let mut listeners = self.listen.all();
        let is_taken = listeners.any(|listener| is_shared(metrics, listener.address));
        is_taken.then_some(ListenerProblem::SharedMetrics(metrics))
    }

    /// Returns the problem of the status page: that it shares its address, or that its token and its address do not fit.
    pub(crate) fn page_problem(&self) -> Option<ListenerProblem> {
        let Some(page) = self.page else {
            let has_token = self.page_token.is_some();
            return has_token.then_some(ListenerProblem::TokenWithoutPage);
        };
        let listeners = self.listen.all().map(|listener| listener.address);
        let mut others = listeners.chain(self.metrics);
        if others.any(|other| is_shared(page, other)) {
            return Some(ListenerProblem::SharedPage(page));
        }
        let is_open = !page.ip().to_canonical().is_loopback() && self.page_token.is_none();
        is_open.then_some(ListenerProblem::OpenPage(page))
    }

    /// Returns the problem that a site with these settings could not be reached, if no listener serves it.
    pub(crate) fn unserved(&self, listen: &[String], http: HttpMode) -> Option<ListenerProblem> {
        let all = &self.listen;
        for (protocol, listeners, is_tls, example) in [
            ("https", &all.https, true, "192.168.1.10:443"),
            ("http", &all.http, false, "192.168.1.10:80"),
        ] {
            let names = || listeners.iter().map(|listener| &listener.name);
            if !http.is_served(is_tls) || names().any(|name| listen.contains(name)) {
                continue;
            }
            let is_default = listen == [DEFAULT_LISTENER];
            return Some(match names().next().filter(|_| is_default) {
                Some(name) => ListenerProblem::AllNamed {
                    protocol,
                    name: name.clone(),
                },
                None => ListenerProblem::NotServed {
                    protocol,
                    names: listen.to_vec(),
                    example,
                },
            });
        }
        None
    }

    /// Returns the problems of names that none of `sites` uses. Listeners without a name of their own may still be needed for
    /// challenges.
    pub(crate) fn unused_listeners<'s>(
        &self,
        sites: impl Iterator<Item = &'s SiteConfig>,
    ) -> Vec<ListenerProblem> {
        let used = sites.flat_map(|site| site.listen.iter().map(String::as_str));
        let used: HashSet<_> = used.chain([DEFAULT_LISTENER]).collect();
        let unused = self.listener_names().filter(|name| !used.contains(name));
        unused
            .map(|name| ListenerProblem::Unused(name.to_owned()))
            .collect()
    }

    /// Returns the ports at which clients reach a site over TLS or without.
    pub(crate) fn ports_of(&self, site: &SiteConfig, is_tls: bool) -> Vec<u16> {
        let listeners = if is_tls {
            &self.listen.https
        } else {
            &self.listen.http
        };
        let own = listeners
            .iter()
            .filter(|listener| site.listen.contains(&listener.name));
        own.map(|listener| listener.address.port()).collect()
    }
}

/// Returns the addresses that are listened on twice. One address may be part of another, and then gets its own connections.
fn same(listeners: &[ListenerOptions]) -> Vec<SocketAddr> {
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.address).collect();
    let is_repeated = |(index, one): (usize, &SocketAddr)| {
        let is_same = |other: &SocketAddr| {
            let same_ip = one.ip().to_canonical() == other.ip().to_canonical()
                || (one.ip().is_unspecified() && other.ip().is_unspecified());
            one.port() != 0 && one.port() == other.port() && same_ip
        };
        addresses[..index].iter().any(is_same).then_some(*one)
    };
    addresses
        .iter()
        .enumerate()
        .filter_map(is_repeated)
        .collect()
}

fn is_shared(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip = one.ip().to_canonical() == other.ip().to_canonical()
        || one.ip().is_unspecified()
        || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_ip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ListenOptions;

    fn listening(http: &[&str], https: &[&str]) -> Config {
        let at = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().unwrap());
            addresses.map(ListenerOptions::at).collect()
        };
        Config {
            listen: ListenOptions {
                http: at(http),
                https: at(https),
                ..ListenOptions::default()
            },
            ..Config::with_defaults()
        }
    }

    #[test]
    fn an_upstream_that_is_the_proxy_itself_is_recognized() {
        let config = listening(&["10.0.0.1:80", "127.0.0.1:8080"], &["[::]:443"]);
        for (address, is_own) in [
            ("localhost:443", true),
            ("[::1]:443", true),
            ("127.0.0.1:8080", true),
            ("localhost:8080", true),
            ("10.0.0.1:80", true),
            ("127.0.0.2:8080", false),
            ("10.0.0.1:443", false),
            ("app:443", false),
            ("localhost:3000", false),
        ] {
            let address = upstream::Address::parse(address).unwrap();
            assert_eq!(config.listens_on(&address), is_own, "{address}");
        }
    }

    #[test]
    fn listen_addresses_match_as_in_the_kernel() {
        for (listen, address, is_own) in [
            ("0.0.0.0:8080", "[::1]:8080", false),
            ("0.0.0.0:8080", "127.0.0.1:8080", true),
            ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080", true),
            ("[::1]:8080", "localhost:8080", true),
            ("10.0.0.5:8080", "localhost:8080", false),
        ] {
            let config = listening(&[listen], &["[::]:443"]);
            let address = upstream::Address::parse(address).unwrap();
            assert_eq!(config.listens_on(&address), is_own, "{listen} {address}");
        }
    }

    #[test]
    fn an_address_may_be_part_of_another_one_of_its_kind_only() {
        for (http, https, conflicts) in [
            (&["[::]:80"][..], &["[::]:443", "10.0.0.1:443"][..], 0),
            (&["[::]:80"], &["10.0.0.1:443", "10.0.0.2:443"], 0),
            (&["127.0.0.1:0", "127.0.0.1:0"], &["127.0.0.1:0"], 0),
            (&["[::]:80"], &["10.0.0.1:443", "10.0.0.1:443"], 1),
            (&["[::]:80"], &["[::ffff:10.0.0.1]:443", "10.0.0.1:443"], 1),
            (&["[::]:80", "0.0.0.0:80"], &["[::]:443"], 1),
            (&["[::]:80", "10.0.0.1:443"], &["[::]:443"], 1),
            (&["[::]:80"], &["[::]:443", "10.0.0.1:80"], 1),
        ] {
            let found = listening(http, https).address_conflicts();
            assert_eq!(found.len(), conflicts, "{http:?} {https:?} {found:?}");
        }
    }
}
