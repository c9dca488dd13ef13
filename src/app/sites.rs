//! From the configured sites to what the two towers know of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Error;
use crate::certs::issuer::Issuer;
use crate::certs::{Ask, Issuers, Policy};
use crate::config::{Config, SiteAction, SiteConfig};
use crate::name::{HostName, HostPattern, NameMap};
use crate::proxy::{Action, Redirect, Router, Site};
use crate::upstream::{Means, Upstream};

pub(super) fn router(sites: &[SiteConfig], means: &Means) -> Result<Router, Error> {
    let mut upstreams = HashMap::new();
    let mut built = Vec::with_capacity(sites.len());
    for site in sites {
        let action = match &site.action {
            // Sites before the same app share its connections and its load.
            SiteAction::Upstream { addresses, options } => {
                let upstream = upstreams.entry((addresses, options)).or_insert_with(|| {
                    Arc::new(Upstream::new(addresses.clone(), options.clone(), means))
                });
                Action::Upstream(Arc::clone(upstream))
            }
            SiteAction::Redirect { to } => {
                let redirect = Redirect::parse(to.as_str());
                Action::Redirect(redirect.map_err(|source| Error::Redirect {
                    site: site.pattern.clone(),
                    source,
                })?)
            }
        };
        built.push(Site {
            pattern: site.pattern.clone(),
            action,
        });
    }
    Ok(Router::new(built))
}

/// Who may have a certificate from an issuer. Sites that bring their own are not among them.
pub(super) fn policies(config: &Config, issuers: &Issuers) -> Result<NameMap<Arc<Policy>>, Error> {
    let mut policies = NameMap::new();
    for site in config.sites.iter().filter(|site| site.tls.is_none()) {
        let policy = match &site.on_demand {
            Some(options) => Policy::on_demand(site.pattern.clone(), Arc::new(Ask::new(options)?)),
            None if site.dns.is_some() && matches!(site.pattern, HostPattern::Wildcard(_)) => {
                Policy::wildcard(site.pattern.clone())
            }
            None => Policy::configured(site.pattern.clone()),
        };
        let policy = match issuer(site, config, issuers) {
            Some(issuer) => policy.issued_by(Arc::clone(issuer)),
            None => policy,
        };
        policies.insert(site.pattern.clone(), Arc::new(policy));
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
    use crate::config::Flags;

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
