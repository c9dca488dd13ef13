//! The sites that a reload has added, removed and changed.

use std::collections::HashMap;

use crate::config::SiteConfig;

/// Numbers of sites that differ between two configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteChanges {
    /// Sites that only the new configuration has.
    pub added: usize,
    /// Sites that only the former configuration has.
    pub removed: usize,
    /// Sites with other settings than before.
    pub changed: usize,
}

impl SiteChanges {
    pub(super) fn between(before: &[SiteConfig], after: &[SiteConfig]) -> Self {
        let before: HashMap<_, _> = before.iter().map(|site| (&site.pattern, site)).collect();
        let known = after
            .iter()
            .filter_map(|site| Some((*before.get(&site.pattern)?, site)));
        let (mut stayed, mut changed) = (0, 0);
        for (former, site) in known {
            stayed += 1;
            changed += usize::from(former != site);
        }
        Self {
            added: after.len() - stayed,
            removed: before.len() - stayed,
            changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Flags};

    fn sites(sites: &str) -> Vec<SiteConfig> {
        let text = format!("storage = \"file:/data\"\n[sites]\n{sites}");
        let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
        config.unwrap().sites
    }

    #[test]
    fn sites_are_compared_by_name_in_whatever_order() {
        let before = sites("\"a.test\" = \"1\"\n\"b.test\" = \"1\"\n\"c.test\" = \"1\"\n");
        let after = sites("\"d.test\" = \"1\"\n\"c.test\" = \"2\"\n\"a.test\" = \"1\"\n");
        let changes = SiteChanges::between(&before, &after);
        let (added, removed, changed) = (1, 1, 1);
        assert_eq!(
            changes,
            SiteChanges {
                added,
                removed,
                changed
            }
        );
        assert_eq!(SiteChanges::between(&after, &after), SiteChanges::default());
    }
}
