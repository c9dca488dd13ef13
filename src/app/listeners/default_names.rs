//! The names whose certificates clients without SNI get.

use crate::config::SiteConfig;
use crate::listener_names::{ListenerId, ListenerNames};
use crate::name::{HostName, HostPattern};

/// Returns the default names of the listeners that have one.
pub(super) fn default_names(
    sites: &[SiteConfig],
    names: &ListenerNames,
) -> Vec<(ListenerId, HostName)> {
    let defaults = names.iter();
    let defaults = defaults.filter_map(|(id, name)| Some((id, default_name(sites, name)?)));
    defaults.collect()
}

/// Returns the name whose certificate a client of a listener gets that sends no SNI. Of the sites there, it is the one marked as
/// default, else the only one, else the only one that is an IP address, for which clients send no SNI.
fn default_name(sites: &[SiteConfig], listener: &str) -> Option<HostName> {
    let is_there = |site: &SiteConfig| site.listen.iter().any(|name| name == listener);
    let with_tls = || {
        let sites = sites.iter();
        sites.filter(|site| site.has_tls() && is_there(site))
    };
    let marked = with_tls().find(|site| site.default);
    let only = with_tls().next().filter(|_| with_tls().count() == 1);
    let is_address = |site: &&SiteConfig| matches!(&site.pattern, HostPattern::Exact(name) if name.ip().is_some());
    let mut addresses = with_tls().filter(is_address);
    let address = addresses.next().filter(|_| addresses.next().is_none());
    marked.or(only).or(address)?.exact_name().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags};

    #[test]
    fn a_client_without_sni_gets_the_default_the_only_site_or_the_only_address() {
        for (sites, expected) in [
            ("\"a.test\" = \"1\"", Some("a.test")),
            ("\"a.test\" = \"1\"\n\"b.test\" = \"1\"", None),
            (
                "\"a.test\" = \"1\"\n\"203.0.113.7\" = \"1\"",
                Some("203.0.113.7"),
            ),
            ("\"203.0.113.7\" = \"1\"\n\"2001:db8::7\" = \"1\"", None),
            (
                "\"203.0.113.7\" = \"1\"\n\"a.test\" = { upstream = \"1\", default = true }",
                Some("a.test"),
            ),
            (
                "\"a.test\" = { upstream = \"1\", http = \"serve\" }\n\"b.test\" = \"1\"",
                Some("b.test"),
            ),
        ] {
            let text = format!("storage = \"file:/data\"\n[sites]\n{sites}\n");
            let config =
                Config::from_proxyfile(std::path::Path::new("Proxyfile"), &text, &Flags::default());
            let name = default_name(&config.unwrap().sites, "default");
            assert_eq!(name.as_ref().map(HostName::as_str), expected, "{sites}");
        }
    }

    #[test]
    fn each_listener_has_a_default_of_its_own() {
        let text = "storage = \"file:/data\"\n\
            listen.https = [\":11\", { name = \"lan\", address = \":12\" }, { name = \"vpn\", address = \":13\" }]\n\
            [sites]\n\
            \"a.test\" = { upstream = \"1\", default = true }\n\
            \"b.test\" = { upstream = \"1\", listen = [\"default\", \"vpn\"] }\n\
            \"c.test\" = { upstream = \"1\", listen = \"lan\" }\n\
            \"d.test\" = { upstream = \"1\", listen = \"vpn\" }\n";
        let path = std::path::Path::new("Proxyfile");
        let config = Config::from_proxyfile(path, text, &Flags::default()).unwrap();
        let names = ListenerNames::default().with(config.listener_names());
        let found = default_names(&config.sites, &names);
        let found: Vec<_> = found
            .iter()
            .map(|(id, name)| (*id, name.as_str()))
            .collect();
        let id = |name| names.id(name).unwrap();
        assert_eq!(found, [(id("default"), "a.test"), (id("lan"), "c.test")]);
    }
}
