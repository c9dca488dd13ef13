//! The policies of the configured sites: which names may have a certificate, and from which issuer.

use std::sync::Arc;

use crate::app::Error;
use crate::certs::issuer::Issuer;
use crate::certs::{Ask, Issuers, Policy};
use crate::config::{Config, SharedWildcards, SiteConfig};
use crate::name::{HostPattern, NameMap};

/// Builds the policies of all sites but those with certificate files or without TLS. A name that the certificate of a wildcard
/// site serves has the policy of that site. Ask endpoints with the same settings as in `former` keep their cached answers.
pub(in crate::app) fn policies(
    config: &Config,
    issuers: &Issuers,
    former: Option<&NameMap<Arc<Policy>>>,
) -> Result<NameMap<Arc<Policy>>, Error> {
    let mut policies = NameMap::new();
    let shared = SharedWildcards::of(config);
    let mut covered = Vec::new();
    let is_managed = |site: &&SiteConfig| site.has_tls() && site.tls.is_none();
    for site in config.sites.iter().filter(is_managed) {
        let known = site
            .patterns()
            .find_map(|pattern| former?.get(pattern)?.ask());
        let ask = match (&site.on_demand, known) {
            (Some(options), Some(known)) if known.options() == options => Some(Arc::clone(known)),
            (Some(options), _) => Some(Arc::new(Ask::new(options)?)),
            (None, _) => None,
        };
        for pattern in site.patterns() {
            if let Some(wildcard) = shared.covering(site, pattern) {
                covered.push((pattern, wildcard));
                continue;
            }
            let policy = match (&ask, pattern) {
                (Some(ask), HostPattern::Wildcard(_) | HostPattern::Any) => {
                    Policy::on_demand(pattern.clone(), Arc::clone(ask))
                }
                (None, HostPattern::Wildcard(_)) if site.dns.is_some() => {
                    Policy::wildcard(pattern.clone())
                }
                (Some(_), HostPattern::Exact(_)) | (None, _) => Policy::configured(pattern.clone()),
            };
            let policy = match named_issuer(site, config, issuers) {
                Some(issuer) => policy.issued_by(Arc::clone(issuer)),
                None => policy,
            };
            policies.insert(pattern.clone(), Arc::new(policy));
        }
    }
    for (name, wildcard) in covered {
        if let Some(policy) = policies.get(wildcard).map(Arc::clone) {
            policies.insert(name.clone(), policy);
        }
    }
    Ok(policies)
}

/// Returns the issuer that the site names.
fn named_issuer<'a>(
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

#[cfg(test)]
mod tests {
    use super::super::stored_issuers;
    use super::*;
    use crate::config::Flags;
    use crate::storage::{FileStorage, Storage};

    #[test]
    fn a_name_below_a_wildcard_with_dns_has_no_subject_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        let text = "storage = \"file:/data\"\ndns = { exec = \"/hook\" }\n[sites]\n\
            \"nas.example.org\" = \":1\"\n\"*.example.org\" = \":2\"\n";
        let path = std::path::Path::new("Proxyfile");
        let config = Config::from_proxyfile(path, text, &Flags::default()).unwrap();
        let issuers = stored_issuers(&config, &storage).unwrap();
        let policies = policies(&config, &issuers, None).unwrap();
        for name in ["nas.example.org", "a.example.org"] {
            let managed = policies.lookup(name).and_then(|policy| policy.managed());
            assert_eq!(managed.unwrap().to_string(), "*.example.org", "{name}");
        }
    }

    #[test]
    fn a_site_without_tls_may_have_no_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        let text = "storage = \"file:/data\"\ndns = { exec = \"/hook\" }\n[sites]\n\
            \"*.example.org\" = { upstream = \":1\", http = \"serve\", aliases = [\"example.net\"] }\n\
            \"a.example.org\" = { upstream = \":2\", http = \"both\" }\n";
        let path = std::path::Path::new("Proxyfile");
        let config = Config::from_proxyfile(path, text, &Flags::default()).unwrap();
        let issuers = stored_issuers(&config, &storage).unwrap();
        let policies = policies(&config, &issuers, None).unwrap();
        for (name, has_policy) in [
            ("a.example.org", true),
            ("b.example.org", false),
            ("example.net", false),
        ] {
            assert_eq!(policies.lookup(name).is_some(), has_policy, "{name}");
        }
    }

    #[test]
    fn an_ask_endpoint_with_the_same_settings_keeps_its_answers() {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        let with_ask = |url: &str, former: Option<&NameMap<Arc<Policy>>>| {
            let text = format!(
                "storage = \"file:/data\"\n[sites.\"*.example.net\"]\nupstream = \"1\"\non-demand = {{ ask = \"{url}\" }}\n"
            );
            let path = std::path::Path::new("Proxyfile");
            let config = Config::from_proxyfile(path, &text, &Flags::default()).unwrap();
            let issuers = stored_issuers(&config, &storage).unwrap();
            policies(&config, &issuers, former).unwrap()
        };
        let ask = |policies: &NameMap<Arc<Policy>>| {
            let policy = policies.lookup("a.example.net").unwrap();
            Arc::clone(policy.ask().unwrap())
        };
        let first = with_ask("http://localhost:2/", None);
        let same = with_ask("http://localhost:2/", Some(&first));
        let other = with_ask("http://localhost:3/", Some(&first));
        assert!(Arc::ptr_eq(&ask(&first), &ask(&same)));
        assert!(!Arc::ptr_eq(&ask(&first), &ask(&other)));
    }
}
