//! From the configured sites to what the two towers know of them.

use std::sync::Arc;

use super::Error;
use crate::certs::issuer::Issuer;
use crate::certs::{Ask, Issuers, Policy, ResolverOptions};
use crate::config::{Config, SiteConfig};
use crate::dns::NameServer;
use crate::name::{HostName, HostPattern, NameMap};
use crate::upstream::{DnsServer, Resolver};

/// What resolves the hosts of backends: by the servers that certificates are looked after with.
pub(super) fn resolver(options: &ResolverOptions) -> Resolver {
    let servers = options.servers.iter().map(|server| match server {
        NameServer::System => DnsServer::System,
        NameServer::At(address) => DnsServer::At(*address),
    });
    Resolver::new(servers.collect())
}

/// Who may have a certificate from an issuer. Sites that bring their own are not among them. Gates that are asked as
/// before go on with what they know.
pub(super) fn policies(
    config: &Config,
    issuers: &Issuers,
    former: Option<&NameMap<Arc<Policy>>>,
) -> Result<NameMap<Arc<Policy>>, Error> {
    let mut policies = NameMap::new();
    for site in config.sites.iter().filter(|site| site.tls.is_none()) {
        let known = site
            .patterns()
            .find_map(|pattern| former?.get(pattern)?.shared_ask());
        let ask = match (&site.on_demand, known) {
            (Some(options), Some(known)) if known.options() == options => Some(Arc::clone(known)),
            (Some(options), _) => Some(Arc::new(Ask::new(options)?)),
            (None, _) => None,
        };
        for pattern in site.patterns() {
            let policy = match (&ask, pattern) {
                (Some(ask), HostPattern::Wildcard(_) | HostPattern::Any) => {
                    Policy::on_demand(pattern.clone(), Arc::clone(ask))
                }
                (None, HostPattern::Wildcard(_)) if site.dns.is_some() => {
                    Policy::wildcard(pattern.clone())
                }
                (Some(_), HostPattern::Exact(_)) | (None, _) => Policy::configured(pattern.clone()),
            };
            let policy = match issuer(site, config, issuers) {
                Some(issuer) => policy.issued_by(Arc::clone(issuer)),
                None => policy,
            };
            policies.insert(pattern.clone(), Arc::new(policy));
        }
    }
    Ok(policies)
}

/// The issuer that the site names.
fn issuer<'a>(
    site: &SiteConfig,
    config: &Config,
    issuers: &'a Issuers,
) -> Option<&'a Arc<dyn Issuer>> {
    let name = site.issuer.as_ref()?;
    let index = config
        .issuers
        .iter()
        .position(|issuer| issuer.name == *name);
    Some(index.map_or(&issuers.internal, |index| &issuers.public[index]))
}

/// Whose certificate a client gets that names no host: the site marked as default, else the only
/// one, else the only address among them, since clients name no host when they want an address.
pub(super) fn default_name(sites: &[SiteConfig]) -> Option<HostName> {
    let marked = sites.iter().find(|site| site.default);
    let only = sites.first().filter(|_| sites.len() == 1);
    let is_address = |site: &&SiteConfig| matches!(&site.pattern, HostPattern::Exact(name) if name.ip().is_some());
    let mut addresses = sites.iter().filter(is_address);
    let address = addresses.next().filter(|_| addresses.next().is_none());
    match &marked.or(only).or(address)?.pattern {
        HostPattern::Exact(name) => Some(name.clone()),
        HostPattern::Wildcard(_) | HostPattern::Any => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::signing::stored_issuers;
    use crate::config::Flags;
    use crate::storage::{FileStorage, Storage};

    #[test]
    fn a_gate_that_is_asked_as_before_goes_on_with_what_it_knows() {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        let under = |ask: &str, former: Option<&NameMap<Arc<Policy>>>| {
            let text = format!(
                "storage = \"file:/data\"\n[sites.\"*.example.net\"]\nupstream = \"1\"\non-demand = {{ ask = \"{ask}\" }}\n"
            );
            let path = std::path::Path::new("Proxyfile");
            let config = Config::from_proxyfile(path, &text, &Flags::default()).unwrap();
            let issuers = stored_issuers(&config, &storage).unwrap();
            policies(&config, &issuers, former).unwrap()
        };
        let gate = |policies: &NameMap<Arc<Policy>>| {
            let policy = policies.lookup("a.example.net").unwrap();
            Arc::clone(policy.shared_ask().unwrap())
        };
        let first = under("http://localhost:2/", None);
        let same = under("http://localhost:2/", Some(&first));
        let other = under("http://localhost:3/", Some(&first));
        assert!(Arc::ptr_eq(&gate(&first), &gate(&same)));
        assert!(!Arc::ptr_eq(&gate(&first), &gate(&other)));
    }

    #[test]
    fn a_client_that_names_no_host_gets_the_default_the_only_site_or_the_only_address() {
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
        ] {
            let text = format!("storage = \"file:/data\"\n[sites]\n{sites}\n");
            let config =
                Config::from_proxyfile(std::path::Path::new("Proxyfile"), &text, &Flags::default());
            let name = default_name(&config.unwrap().sites);
            assert_eq!(name.as_ref().map(HostName::as_str), expected, "{sites}");
        }
    }
}
