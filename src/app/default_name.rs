//! The name whose certificate clients without SNI get.

use crate::config::SiteConfig;
use crate::name::{HostName, HostPattern};

/// Returns the name whose certificate a client gets that sends no SNI: the site marked as default, else the only site, else the
/// only site that is an IP address, for which clients send no SNI.
pub(super) fn default_name(sites: &[SiteConfig]) -> Option<HostName> {
    let with_tls = || sites.iter().filter(|site| site.has_tls());
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
            let name = default_name(&config.unwrap().sites);
            assert_eq!(name.as_ref().map(HostName::as_str), expected, "{sites}");
        }
    }
}
