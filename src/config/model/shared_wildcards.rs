//! The wildcards whose one certificate, validated in DNS, serves other sites too.

use std::collections::HashMap;

use super::config::Config;
use super::site::{CertificateSource, SiteConfig};
use crate::certs::LocalNames;
use crate::name::HostPattern;

/// The wildcards of a configuration that have one certificate for all their names, each with its site.
#[derive(Debug)]
pub struct SharedWildcards<'a> {
    sites: HashMap<&'a HostPattern, &'a SiteConfig>,
    local_names: LocalNames,
}

impl<'a> SharedWildcards<'a> {
    /// Collects the wildcards of `config`.
    #[must_use]
    pub fn of(config: &'a Config) -> Self {
        let local_names = config.local_names();
        let names = config.sites.iter().flat_map(|site| {
            let patterns = site.patterns();
            patterns.map(move |pattern| (pattern, site))
        });
        let shared = names.filter(|(pattern, site)| {
            let is_wildcard = matches!(pattern, HostPattern::Wildcard(_));
            let source = site.certificate_source_of(pattern, local_names);
            is_wildcard && site.dns.is_some() && source == CertificateSource::Issuer
        });
        Self {
            sites: shared.collect(),
            local_names,
        }
    }

    /// Returns the wildcard whose certificate serves this name of `site`. `None` if the name has a certificate of its own.
    #[must_use]
    pub fn covering(&self, site: &SiteConfig, name: &HostPattern) -> Option<&'a HostPattern> {
        let HostPattern::Exact(exact) = name else {
            return None;
        };
        let source = site.certificate_source_of(name, self.local_names);
        if site.own_certificate || source != CertificateSource::Issuer {
            return None;
        }
        let (wildcard, owner) = self.sites.get_key_value(&exact.wildcard()?)?;
        let has_same_issuer = site.issuer.is_none() || site.issuer == owner.issuer;
        has_same_issuer.then_some(wildcard)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;

    #[test]
    fn a_wildcard_with_dns_covers_the_sites_one_label_below_it() {
        let text = r#"
            storage = "file:/data"
            dns = { exec = "/hook" }
            [[issuers]]
            directory = "letsencrypt"
            [[issuers]]
            directory = "buypass"
            [sites]
            "*.home.example.org" = ":1"
            "nas.home.example.org" = { upstream = ":2", aliases = ["wiki.home.example.org", "nas.example.net"] }
            "own.home.example.org" = { upstream = ":3", own-certificate = true }
            "files.home.example.org" = { upstream = ":4", tls = { cert = "a", key = "b" } }
            "other.home.example.org" = { upstream = ":5", issuer = "buypass" }
            "a.b.home.example.org" = ":6"
            "home.example.org" = ":7"
            "*.apps.example.org" = { upstream = ":8", dns = false, on-demand = "http://localhost:1/ask" }
            "x.apps.example.org" = ":9"
        "#;
        let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default());
        let config = config.unwrap();
        let shared = SharedWildcards::of(&config);
        let names = config.sites.iter().flat_map(|site| {
            let patterns = site.patterns();
            patterns.map(move |pattern| (site, pattern))
        });
        let covered = names.filter(|(site, name)| {
            let wildcard = shared.covering(site, name);
            wildcard.is_some_and(|wildcard| wildcard.to_string() == "*.home.example.org")
        });
        let covered: Vec<_> = covered.map(|(_, name)| name.to_string()).collect();
        assert_eq!(covered, ["nas.home.example.org", "wiki.home.example.org"]);
    }
}
