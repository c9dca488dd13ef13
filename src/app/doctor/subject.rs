//! The names that are checked, each with the site that serves it.

use crate::admin::CheckResult;
use crate::config::{Config, SiteConfig};
use crate::name::{HostName, HostPattern, NameMap};

/// A name with its site.
#[derive(Clone, Debug)]
pub(in crate::app) struct Subject<'a> {
    /// The name, or the pattern of names.
    pub(in crate::app) name: HostPattern,
    /// The site that serves it.
    pub(in crate::app) site: &'a SiteConfig,
    /// `true` if the backends of the site are checked with this name. They are with one of its names only.
    pub(in crate::app) has_backends: bool,
}

impl Subject<'_> {
    /// Returns the name if it is not a pattern.
    pub(super) fn exact(&self) -> Option<&HostName> {
        match &self.name {
            HostPattern::Exact(name) => Some(name),
            HostPattern::Wildcard(_) | HostPattern::Any => None,
        }
    }
}

/// Returns the subjects for `names`, or those for all names of the configuration if there are none, in their order. A name
/// that no site serves gets a result instead.
pub(in crate::app) fn subjects<'a>(
    config: &'a Config,
    names: &[String],
) -> Vec<Result<Subject<'a>, CheckResult>> {
    if names.is_empty() {
        let all = config.sites.iter().flat_map(all_of);
        return all.map(Ok).collect();
    }
    let mut sites = NameMap::new();
    for site in &config.sites {
        for pattern in site.patterns() {
            sites.insert(pattern.clone(), site);
        }
    }
    names.iter().map(|text| named(&sites, text)).collect()
}

fn all_of(site: &SiteConfig) -> impl Iterator<Item = Subject<'_>> {
    site.patterns()
        .enumerate()
        .map(move |(index, name)| Subject {
            name: name.clone(),
            site,
            has_backends: index == 0,
        })
}

fn named<'a>(sites: &NameMap<&'a SiteConfig>, text: &str) -> Result<Subject<'a>, CheckResult> {
    let refused = |sentence: String| CheckResult {
        name: Some(text.to_owned()),
        ..CheckResult::fail("site", sentence)
    };
    let name = HostPattern::parse(text).map_err(|error| {
        refused(format!(
            "it is not a valid name: {error}; use a form like `www.example.org`"
        ))
    })?;
    let site = match &name {
        HostPattern::Exact(exact) => sites.lookup(exact.as_str()),
        pattern => sites.get(pattern),
    };
    let site = site.copied().ok_or_else(|| {
        refused("no site serves it; add it to [sites], and reload a running proxy".to_owned())
    })?;
    Ok(Subject {
        name,
        site,
        has_backends: true,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;

    #[test]
    fn each_name_has_its_site_and_each_site_one_check_of_its_backends() {
        let text = "storage = \"file:/data\"\n[sites]\n\"*.example.net\" = { upstream = \":1\", on-demand = { ask = \"http://localhost:2\" } }\n\
            \"www.example.org\" = { upstream = \":3\", aliases = [\"example.org\"] }\n";
        let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default());
        let config = config.unwrap();
        let all: Vec<_> = subjects(&config, &[]).into_iter().flatten().collect();
        let all: Vec<_> = all
            .iter()
            .map(|it| (it.name.to_string(), it.has_backends))
            .collect();
        let expected = [
            ("*.example.net", true),
            ("www.example.org", true),
            ("example.org", false),
        ];
        assert_eq!(all, expected.map(|(name, is)| (name.to_owned(), is)));

        let given = ["a.example.net", "example.org", "other.test", "a b"].map(str::to_owned);
        let given = subjects(&config, &given);
        assert_eq!(
            given[0].as_ref().unwrap().site.pattern.to_string(),
            "*.example.net"
        );
        assert!(given[1].as_ref().unwrap().has_backends);
        let sentence = |index: usize| &given[index].as_ref().unwrap_err().sentence;
        assert!(sentence(2).starts_with("no site serves it"));
        assert!(sentence(3).starts_with("it is not a valid name"));
    }
}
