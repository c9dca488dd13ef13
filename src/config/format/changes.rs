//! The differences between two configurations, by the keys that `proxy explain` lists.

use std::collections::HashMap;
use std::path::PathBuf;

use toml::{Table, Value};

use super::listing::list;
use crate::config::model::{Config, SiteConfig};

/// Differences between two configurations, in the order of the file that lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigChanges {
    /// Sites that only the new configuration has.
    pub added: Vec<String>,
    /// Sites that only the former configuration has.
    pub removed: Vec<String>,
    /// Sites with other settings than before.
    pub changed: Vec<SiteChange>,
    /// Other settings than those of sites.
    pub settings: Vec<SettingChange>,
    /// Files of the operator that hold another certificate than before. Only a running proxy can tell.
    pub certificates: Vec<PathBuf>,
}

/// A site with other settings than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteChange {
    /// The name of the site.
    pub name: String,
    /// Its own keys that differ. Empty if only secrets or inherited settings do.
    pub keys: Vec<String>,
}

/// A setting with another value than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// The full name of the key, as in `limits.idle-timeout`.
    pub key: String,
    /// The former and the new value as in a Proxyfile, each `None` if it is not set. `None` if they are whole tables or secrets.
    pub values: Option<[Option<String>; 2]>,
}

impl ConfigChanges {
    /// Compares two configurations.
    #[must_use]
    pub fn between(before: &Config, after: &Config) -> Self {
        let SiteDifferences {
            added,
            removed,
            changed,
        } = SiteDifferences::between(&before.sites, &after.sites);
        // Only these sites: a file may have thousands.
        let former = listed(before, changed.iter().map(|(site, _)| *site));
        let listed = listed(after, changed.iter().map(|(_, site)| *site));
        let changed = changed.iter().map(|(_, site)| SiteChange {
            name: site.pattern.to_string(),
            keys: changed_keys(site_table(&former, site), site_table(&listed, site)),
        });
        let mut changes = Self {
            added,
            removed,
            changed: changed.collect(),
            ..Self::default()
        };
        let (former, listed) = (settings(former), settings(listed));
        let mut keys: Vec<_> = former.iter().chain(&listed).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let both = [&former, &listed].map(|settings| {
                let found = settings.iter().find(|(name, _)| name == key);
                found.map(|(_, value)| value)
            });
            if both[0] != both[1] {
                let are_plain = !both.into_iter().flatten().any(has_tables);
                changes.settings.push(SettingChange {
                    key: key.clone(),
                    values: are_plain.then(|| both.map(|value| value.map(ToString::to_string))),
                });
            }
        }
        for (key, is_same) in [
            ("dns", before.dns == after.dns),
            ("page-token", before.page_token == after.page_token),
            ("issuers", before.issuers == after.issuers),
            ("tracing", before.tracing == after.tracing),
            ("upstreams", before.upstreams == after.upstreams),
        ] {
            changes.add_secret_change(key, is_same);
        }
        changes
    }

    /// Adds a key whose secret has changed, which no listing shows, unless something else of it has changed too.
    fn add_secret_change(&mut self, key: &str, is_same: bool) {
        let mut known = self.settings.iter().map(|change| change.key.as_str());
        let is_known = known.any(|known| known.split('.').next() == Some(key));
        if !is_same && !is_known {
            let key = key.to_owned();
            self.settings.push(SettingChange { key, values: None });
        }
    }

    /// `true` if nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Sites that differ, by their names. Those that have changed come with their former settings.
struct SiteDifferences<'c> {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<(&'c SiteConfig, &'c SiteConfig)>,
}

impl<'c> SiteDifferences<'c> {
    fn between(before: &'c [SiteConfig], after: &'c [SiteConfig]) -> Self {
        let mut left: HashMap<_, _> = before.iter().map(|site| (&site.pattern, site)).collect();
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for site in after {
            match left.remove(&site.pattern) {
                None => added.push(site.pattern.to_string()),
                Some(former) if former == site => {}
                Some(former) => changed.push((former, site)),
            }
        }
        let removed = before.iter().map(|site| &site.pattern);
        let removed = removed.filter(|name| left.contains_key(name));
        Self {
            removed: removed.map(ToString::to_string).collect(),
            added,
            changed,
        }
    }
}

/// The listing of a configuration with these of its sites, as a table.
fn listed<'s>(config: &Config, sites: impl Iterator<Item = &'s SiteConfig>) -> Table {
    // A listing is always valid TOML.
    toml::from_str(&list(config, "", sites)).unwrap_or_default()
}

fn site_table<'t>(listed: &'t Table, site: &SiteConfig) -> Option<&'t Table> {
    let sites = listed.get("sites")?.as_table()?;
    sites.get(&site.pattern.to_string())?.as_table()
}

fn changed_keys(before: Option<&Table>, after: Option<&Table>) -> Vec<String> {
    let (Some(before), Some(after)) = (before, after) else {
        return Vec::new();
    };
    let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| before.get(*key) != after.get(*key));
    keys.into_iter().cloned().collect()
}

fn has_tables(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(values) => values.iter().any(has_tables),
        _ => false,
    }
}

/// Settings outside sites, with the names of their tables before them.
fn settings(listed: Table) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, value) in listed {
        match value {
            _ if name == "sites" => {}
            Value::Table(table) => found.extend(
                table
                    .into_iter()
                    .map(|(key, value)| (format!("{name}.{key}"), value)),
            ),
            value => found.push((name, value)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;

    fn config(text: &str) -> Config {
        let text = format!("storage = \"file:/data\"\n{text}");
        Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default()).unwrap()
    }

    #[test]
    fn sites_are_compared_by_name_in_whatever_order() {
        let before = config(
            "[sites]\n\"a.test\" = \"1\"\n\"b.test\" = \"1\"\n\"c.test\" = { upstream = \"1\", max-body = \"1k\" }\n",
        );
        let after = config(
            "[sites]\n\"d.test\" = \"1\"\n\"c.test\" = { upstream = \"2\", request-timeout = \"1s\", max-body = \"1k\" }\n\"a.test\" = \"1\"\n",
        );
        let changes = ConfigChanges::between(&before, &after);
        let expected = ConfigChanges {
            added: vec!["d.test".to_owned()],
            removed: vec!["b.test".to_owned()],
            changed: vec![SiteChange {
                name: "c.test".to_owned(),
                keys: vec!["request-timeout".to_owned(), "upstream".to_owned()],
            }],
            ..ConfigChanges::default()
        };
        assert_eq!(changes, expected);
        assert!(ConfigChanges::between(&after, &after).is_empty());
    }

    #[test]
    fn settings_outside_sites_are_told_with_their_values() {
        let before = config(
            "email = \"a@b.test\"\n[limits]\nidle-timeout = \"90s\"\n[sites]\n\"a.test\" = \"1\"\n",
        );
        let after = config(
            "trust = [\"private\"]\n[limits]\nidle-timeout = \"1h\"\n[sites]\n\"a.test\" = \"1\"\n",
        );
        let changes = ConfigChanges::between(&before, &after);
        let told = changes.settings.iter().map(|change| {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            let values = change.values.iter().flatten().map(text);
            format!("{} {}", change.key, values.collect::<Vec<_>>().join(" "))
        });
        let expected = [
            "email \"a@b.test\" -",
            // They have the address, too.
            "issuers ",
            "limits.idle-timeout \"1m 30s\" \"1h\"",
            "trust - [\"private\"]",
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_site_whose_secret_or_inherited_setting_changes_has_changed() {
        let site = |key: &str, top: &str| {
            config(&format!(
                "{top}\n[sites.\"a.test\"]\nupstream = \"1\"\nupstream-options = {{ cookie-key = \"{key}\" }}\n"
            ))
        };
        let key = "0123456789abcdef0123456789abcdef";
        let before = site(key, "");
        for after in [
            site(&key.replace('0', "f"), ""),
            site(key, "compress = true"),
        ] {
            let changes = ConfigChanges::between(&before, &after);
            let [change] = &changes.changed[..] else {
                panic!("{changes:?}");
            };
            assert_eq!((change.name.as_str(), change.keys.len()), ("a.test", 0));
        }
    }

    #[test]
    fn a_secret_outside_sites_is_told_by_its_key() {
        let issuer = |key: &str| {
            config(&format!(
                "[[issuers]]\ndirectory = \"https://ca.test/dir\"\neab = {{ key-id = \"k\", hmac-key = \"{key}\" }}\n[sites]\n\"a.test\" = \"1\"\n"
            ))
        };
        let changes = ConfigChanges::between(
            &issuer("MTIzNDU2Nzg5MDEyMzQ1Ng"),
            &issuer("YWFhYWFhYWFhYWFhYWFhYQ"),
        );
        let expected = SettingChange {
            key: "issuers".to_owned(),
            values: None,
        };
        assert_eq!(changes.settings, [expected]);
    }
}
